-- What a run is called, its state, and which definition it executes. Takes no lock.
SELECT coalesce(r.name || ' v' || r.version || ', ', '') || 'run ' || r.run_id, r.state, r.workflow_id
FROM baton.run r
WHERE r.run_id = $1 AND ($2 IS NULL OR EXISTS (SELECT FROM baton.step s WHERE s.run_id = $1 AND s.queue_id = ANY ($2)))
