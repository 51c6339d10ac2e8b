-- Asks the holder of the lease to stop; once. The task is locked FOR UPDATE by this transaction.
WITH asked AS (
    UPDATE baton.task_live SET cancel_requested_at = baton._clock(), cancel_reason = $2, last_seq = last_seq + 1
    WHERE task_id = $1 AND cancel_requested_at IS NULL
    RETURNING task_id, last_seq, cancel_requested_at
)
INSERT INTO baton.event (tape_id, seq, at, kind, body)
SELECT task_id, last_seq, cancel_requested_at, 'cancel_requested', jsonb_build_object('reason', $2, 'role', $3) FROM asked
