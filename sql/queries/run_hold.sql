-- A run whose gate this transaction holds open, or has closed. Locks it FOR NO KEY UPDATE, waiting for who else notes the end of a step.
SELECT state, on_error, workflow_id, slot_key, checkpoint FROM baton.run WHERE run_id = $1 FOR NO KEY UPDATE
