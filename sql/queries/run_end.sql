-- A run ends in state $2, with its final event. Locks the run as UPDATE does (FOR NO KEY UPDATE); this transaction holds it.
WITH ended AS (
    UPDATE baton.run SET state = $2, finalized_at = baton._clock(), last_seq = last_seq + 1, checkpoint = NULL, checkpoint_detail = NULL, result = coalesce($3, result)
    WHERE run_id = $1
    RETURNING run_id, last_seq, finalized_at, result, CASE $2 WHEN 12 THEN coalesce(cancel_reason, 'cancelled') WHEN 13 THEN coalesce(cancel_reason, 'compensated') WHEN 14 THEN 'compensation_failed' END AS reason
)
INSERT INTO baton.event (tape_id, seq, at, kind, body)
SELECT run_id, last_seq, finalized_at, 'final', jsonb_build_object('state', baton._state_name($2), 'reason', reason, 'result', result) FROM ended
