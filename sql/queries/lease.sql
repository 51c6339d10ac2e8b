-- Leases these tasks, ready and locked FOR UPDATE by this transaction. Takes no other lock.
WITH timed AS MATERIALIZED (
    SELECT task_id, nextval('baton.token_seq') AS token, baton._clock() AS now FROM unnest($1) AS u (task_id)
), leased AS (
    UPDATE baton.task_live l SET
        state = 3, lease_token = t.token, owner = $2, leased_at = t.now,
        lease_expires_at = least(t.now + $3, t.now + coalesce(l.max_runtime, $4)), check_at = least(t.now + $3, t.now + coalesce(l.max_runtime, $4)),
        heartbeat_at = NULL, started_at = NULL,
        attempt = l.attempt + 1, last_seq = l.last_seq + 1, leased_seq = l.last_seq + 1
    FROM timed t
    WHERE l.task_id = t.task_id
    RETURNING l.task_id, l.ready_seq, l.lease_token, l.lease_expires_at, l.attempt, l.lost_leases
)
SELECT l.task_id, l.ready_seq, l.lease_token, l.lease_expires_at, l.attempt, l.lost_leases, t.name, t.key, t.payload, t.run_id, t.item_index, t.metadata,
    (SELECT r.state FROM baton.run r WHERE r.run_id = t.run_id)
FROM leased l
JOIN baton.task t USING (task_id)
