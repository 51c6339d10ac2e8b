-- Whether there is such a run, with a step in the queues $2. Takes no lock.
SELECT true FROM baton.run WHERE run_id = $1 AND ($2 IS NULL OR EXISTS (SELECT FROM baton.step s WHERE s.run_id = $1 AND s.queue_id = ANY ($2)))
