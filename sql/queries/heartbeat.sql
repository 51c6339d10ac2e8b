-- Extends a live lease, never backward and never beyond the step's or the queue's max_runtime; one row for the holder
-- of the current token, live or not. An UPDATE evaluates its WHERE before it waits: so the row is locked
-- first and the clock read above the lock. Locks the task FOR NO KEY UPDATE.
WITH held AS MATERIALIZED (
    SELECT task_id, queue_id, leased_at, lease_expires_at, cancel_requested_at, max_runtime FROM baton.task_live
    WHERE task_id = $1 AND lease_token = $2 AND ($4 IS NULL OR queue_id = ANY ($4)) FOR NO KEY UPDATE
), timed AS MATERIALIZED (
    SELECT h.*, q.lease_ttl, h.leased_at + coalesce(h.max_runtime, q.max_runtime) AS latest, baton._clock() AS now
    FROM held h JOIN baton.queue q USING (queue_id)
), beat AS (
    UPDATE baton.task_live l SET
        lease_expires_at = least(t.now + coalesce($3, t.lease_ttl), t.latest), heartbeat_at = t.now
    FROM timed t
    WHERE l.task_id = t.task_id AND t.lease_expires_at > t.now
      AND least(t.now + coalesce($3, t.lease_ttl), t.latest) > t.lease_expires_at
    RETURNING l.lease_expires_at
)
SELECT t.lease_expires_at > t.now, b.lease_expires_at IS NOT NULL, coalesce(b.lease_expires_at, t.lease_expires_at), t.cancel_requested_at IS NOT NULL
FROM timed t LEFT JOIN beat b ON true
