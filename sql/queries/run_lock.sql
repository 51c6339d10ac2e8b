-- A run, its gate held open: who changes it as a whole waits. No row if the caller may touch none of its steps'
-- queues ($2). Locks the run FOR KEY SHARE, waiting.
SELECT state FROM baton.run WHERE run_id = $1 AND ($2 IS NULL OR EXISTS (SELECT FROM baton.step s WHERE s.run_id = $1 AND s.queue_id = ANY ($2))) FOR KEY SHARE
