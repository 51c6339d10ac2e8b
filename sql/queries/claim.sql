-- Leases up to $4 ready tasks of one lane, first come first served, from the claim floor $3 on. The
-- materialized CTE is what bounds the number: an IN (SELECT … LIMIT) claimed 50 rows under other planner
-- settings. The clock is read where nothing is waited for. Each row says the first visible place in line
-- (locked by others or not) and the last place drawn. Locks the tasks FOR UPDATE, skipping what others hold.
WITH first AS MATERIALIZED (
    SELECT ready_seq FROM baton.task_live
    WHERE queue_id = $1 AND state = 2 AND priority = $2 AND ready_seq > $3
    ORDER BY queue_id, priority, ready_seq LIMIT 1
), picked AS MATERIALIZED (
    SELECT task_id, baton._clock() AS now FROM baton.task_live
    WHERE queue_id = $1 AND state = 2 AND priority = $2 AND ready_seq >= (SELECT ready_seq FROM first)
    ORDER BY queue_id, priority, ready_seq LIMIT $4
    FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE baton.task_live l SET
        state = 3, lease_token = nextval('baton.token_seq'), owner = $5, leased_at = p.now,
        lease_expires_at = least(p.now + $6, p.now + coalesce(l.max_runtime, $7)), check_at = least(p.now + $6, p.now + coalesce(l.max_runtime, $7)),
        heartbeat_at = NULL, started_at = NULL,
        attempt = l.attempt + 1, last_seq = l.last_seq + 1, leased_seq = l.last_seq + 1
    FROM picked p
    WHERE l.task_id = p.task_id
    RETURNING l.task_id, l.ready_seq, l.lease_token, l.lease_expires_at, l.attempt, l.lost_leases
)
SELECT (SELECT ready_seq FROM first), (SELECT last_value FROM baton.ready_seq),
    l.task_id, l.ready_seq, l.lease_token, l.lease_expires_at, l.attempt, l.lost_leases, t.name, t.key, t.payload, t.run_id, t.item_index, t.metadata,
    (SELECT r.state FROM baton.run r WHERE r.run_id = t.run_id)
FROM leased l
JOIN baton.task t USING (task_id)
