-- A task that has ended ($2, because of $3, with $4 and $5; $6: the holder of its lease said so; $7: the lease was lost, and with it the attempt) is not over yet: its work is undone first. What it has come to is kept. The
-- task is locked FOR UPDATE by this transaction. The lease's own event moves from the row to the tape.
WITH old AS MATERIALIZED (
    SELECT task_id, lease_token, owner, leased_at, leased_seq, last_seq, attempt, lost_leases, registrations, baton._clock() AS now
    FROM baton.task_live WHERE task_id = $1
), ended AS (
    UPDATE baton.task_live l SET
        state = 4, attempt = l.attempt - $7::int, lost_leases = l.lost_leases + $7::int, waits_for = NULL, ready_at = NULL,
        lease_token = NULL, owner = NULL, lease_expires_at = NULL, check_at = NULL, leased_seq = NULL,
        last_seq = l.last_seq + 1 + $7::int
    FROM old o WHERE l.task_id = o.task_id
), saga AS (
    INSERT INTO baton.saga (task_id, lease_token, at, state, ended_by_lease, reason, result, error)
    SELECT task_id, lease_token, now, $2, $6, $3, $4, $5 FROM old
)
INSERT INTO baton.event (tape_id, seq, at, lease_token, kind, body)
SELECT o.task_id, o.leased_seq, o.leased_at, o.lease_token, 'leased', jsonb_build_object('owner', o.owner, 'attempt', o.attempt) FROM old o WHERE o.leased_seq IS NOT NULL
UNION ALL
SELECT o.task_id, o.last_seq + 1, o.now, o.lease_token, 'lease_lost', jsonb_build_object('owner', o.owner, 'lost_leases', o.lost_leases + 1) FROM old o WHERE $7
UNION ALL
SELECT o.task_id, o.last_seq + 1 + $7::int, o.now, CASE WHEN $6 THEN o.lease_token END, 'compensating',
    jsonb_build_object('state', baton._state_name($2), 'reason', $3, 'error', $5, 'compensations', o.registrations) FROM old o
