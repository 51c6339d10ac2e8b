-- Notes that the holder of a live lease has begun, and extends the lease; never shortens it. The clock is
-- read above the lock. Locks the task FOR NO KEY UPDATE.
WITH held AS MATERIALIZED (
    SELECT task_id, queue_id, leased_at, max_runtime FROM baton.task_live
    WHERE task_id = $1 AND lease_token = $2 AND ($4 IS NULL OR queue_id = ANY ($4)) FOR NO KEY UPDATE
), timed AS MATERIALIZED (
    SELECT h.task_id, q.lease_ttl, h.leased_at + coalesce(h.max_runtime, q.max_runtime) AS latest, baton._clock() AS now
    FROM held h JOIN baton.queue q USING (queue_id)
), begun AS (
    UPDATE baton.task_live l SET
        started_at = t.now, last_seq = l.last_seq + 1,
        lease_expires_at = greatest(l.lease_expires_at, least(t.now + coalesce($3, t.lease_ttl), t.latest))
    FROM timed t
    WHERE l.task_id = t.task_id AND l.lease_expires_at > t.now AND l.started_at IS NULL
    RETURNING l.task_id, l.last_seq, l.started_at, l.lease_token, l.lease_expires_at
), tape AS (
    INSERT INTO baton.event (tape_id, seq, at, lease_token, kind) SELECT task_id, last_seq, started_at, lease_token, 'started' FROM begun
)
SELECT lease_expires_at FROM begun
