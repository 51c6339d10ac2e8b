-- A run that the caller controls: in all its steps' queues ($2). Locks the run FOR UPDATE, waiting: its gate is closed.
SELECT state, on_error, workflow_id, slot_key, checkpoint FROM baton.run
WHERE run_id = $1 AND ($2 IS NULL OR NOT EXISTS (SELECT FROM baton.step s WHERE s.run_id = $1 AND s.queue_id <> ALL ($2)))
FOR UPDATE
