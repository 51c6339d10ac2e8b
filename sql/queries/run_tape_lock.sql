-- Holds a run's tape still, if the caller controls the run ($2): its state and its highest seq. Locks the run FOR NO KEY UPDATE.
SELECT state, last_seq FROM baton.run
WHERE run_id = $1 AND ($2 IS NULL OR NOT EXISTS (SELECT FROM baton.step s WHERE s.run_id = $1 AND s.queue_id <> ALL ($2)))
FOR NO KEY UPDATE
