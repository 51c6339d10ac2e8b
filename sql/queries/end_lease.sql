-- A lease ends and the task lives on, locked FOR UPDATE by this transaction: in line again ($2 = 2), blocked
-- because its run is paused ($2 = 1, before what was never ready), or scheduled after $5 ($2 = 0). $3: whether the attempt stays counted; $4: whether a loss is counted. $6
-- is the event (its times in UTC, whatever the caller's time zone), $7 its error; $8: the holder itself gives the lease back. The lease's own event moves from the row to the tape.
WITH old AS MATERIALIZED (
    SELECT task_id, lease_token, owner, leased_at, leased_seq, last_seq, attempt, lost_leases, baton._clock() AS now
    FROM baton.task_live WHERE task_id = $1
), ended AS (
    UPDATE baton.task_live l SET
        state = $2, attempt = l.attempt - CASE WHEN $3 THEN 0 ELSE 1 END, lost_leases = l.lost_leases + $4::int,
        run_at = o.now + $5, ready_seq = nextval('baton.ready_seq') - CASE WHEN $2 = 1 THEN 2 ELSE 0 END * 9007199254740992, ready_at = CASE WHEN $2 = 2 THEN o.now END,
        lease_token = NULL, owner = NULL, lease_expires_at = NULL, check_at = NULL, leased_seq = NULL,
        last_seq = l.last_seq + 1
    FROM old o WHERE l.task_id = o.task_id
    RETURNING l.task_id, l.run_at, l.lost_leases, (to_jsonb(l.run_at AT TIME ZONE 'UTC') #>> '{}') || '+00:00' AS run_at_utc
), tape AS (
    INSERT INTO baton.event (tape_id, seq, at, lease_token, kind, body)
    SELECT o.task_id, o.leased_seq, o.leased_at, o.lease_token, 'leased', jsonb_build_object('owner', o.owner, 'attempt', o.attempt) FROM old o
    UNION ALL
    SELECT o.task_id, o.last_seq + 1, o.now, CASE WHEN $8 OR $6 = 'lease_lost' THEN o.lease_token END, $6,
        CASE $6
            WHEN 'lease_lost' THEN jsonb_build_object('owner', o.owner, 'lost_leases', e.lost_leases)
            WHEN 'retry_scheduled' THEN jsonb_build_object('attempt', o.attempt, 'error', $7, 'run_at', e.run_at_utc) || CASE WHEN $2 = 1 THEN '{"state": "blocked"}' ELSE '{}' END::jsonb
            WHEN 'released' THEN jsonb_build_object('run_at', e.run_at_utc)
        END
    FROM old o JOIN ended e USING (task_id)
)
SELECT run_at FROM ended
