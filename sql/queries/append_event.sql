-- The next event of a live task's tape; no row without the current token (none: $2 NULL). Locks the task
-- as UPDATE does (FOR NO KEY UPDATE), so seq is dense and in commit order.
WITH tape AS (
    UPDATE baton.task_live SET last_seq = last_seq + 1
    WHERE task_id = $1 AND ($2 IS NULL OR lease_token = $2) AND last_seq < $6 AND ($7 IS NULL OR queue_id = ANY ($7))
    RETURNING last_seq, lease_token, cancel_requested_at IS NOT NULL AS cancel_requested
), event AS (
    INSERT INTO baton.event (tape_id, seq, at, lease_token, kind, dedup_key, body)
    SELECT $1, last_seq, baton._clock(), $2, $3, $5, $4 FROM tape
    RETURNING seq, at
)
SELECT e.seq, e.at, t.cancel_requested FROM event e CROSS JOIN tape t
