-- Pauses a queue ($2), or resumes it; no row if it was dropped, or there is nothing to do. Takes the row lock of the queue (NO KEY UPDATE).
UPDATE baton.queue SET paused_at = CASE WHEN $2 THEN coalesce(paused_at, baton._clock()) END
WHERE queue_id = $1 AND dropped_at IS NULL AND (paused_at IS NOT NULL) <> $2
RETURNING true
