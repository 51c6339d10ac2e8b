-- Whether the token is the current, unexpired lease, held until the transaction ends: FOR KEY SHARE stops
-- whoever takes or ends the lease (FOR UPDATE) and lets the worker's own heartbeats pass. The clock is
-- read above the lock.
WITH held AS MATERIALIZED (
    SELECT lease_expires_at FROM baton.task_live
    WHERE task_id = $1 AND lease_token = $2 AND ($3 IS NULL OR queue_id = ANY ($3)) FOR KEY SHARE
)
SELECT lease_expires_at > baton._clock() FROM held
