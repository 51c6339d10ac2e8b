-- A run whose gate this transaction holds open, without its row's lock: its state may be an old one. Takes no lock.
SELECT state, on_error, workflow_id, slot_key, checkpoint FROM baton.run WHERE run_id = $1
