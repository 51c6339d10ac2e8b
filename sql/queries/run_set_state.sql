-- A run goes on in state $2 (not paused). Locks the run as UPDATE does (FOR NO KEY UPDATE); this transaction holds it.
UPDATE baton.run SET state = $2, checkpoint = NULL, checkpoint_detail = NULL, on_error = $3, cancel_reason = coalesce(cancel_reason, $4) WHERE run_id = $1
