-- A run is paused at checkpoint $2. Locks the run as UPDATE does (FOR NO KEY UPDATE); this transaction holds it.
UPDATE baton.run SET state = 1, checkpoint = $2, checkpoint_detail = $3 WHERE run_id = $1
