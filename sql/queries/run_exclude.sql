-- A run, its gate closed: who comes from a task leaves his work for later. No row if the caller may touch none of its steps' queues ($2). Locks the run FOR
-- UPDATE, waiting.
SELECT state FROM baton.run WHERE run_id = $1 AND ($2 IS NULL OR EXISTS (SELECT FROM baton.step s WHERE s.run_id = $1 AND s.queue_id = ANY ($2))) FOR UPDATE
