-- The same, its gate closed: who comes from a task leaves its work for later. Locks the run FOR UPDATE, waiting.
SELECT state FROM baton.run WHERE run_id = $1 AND ($2 IS NULL OR EXISTS (SELECT FROM baton.step s WHERE s.run_id = $1 AND s.queue_id = ANY ($2))) FOR UPDATE
