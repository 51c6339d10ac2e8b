-- The tasks of a run ($1), locked FOR UPDATE by this transaction, those that were redriven there too, and whether each may go: it ended before $2 ago, in
-- the queues $3 and the states $4 (NULL: all), and no successor is due. Takes no lock.
WITH RECURSIVE place (task_id, redrive_of) AS (
    SELECT i.task_id, i.redrive_of FROM baton.step s JOIN baton.task i USING (step_id) WHERE s.run_id = $1
    UNION
    SELECT i.task_id, i.redrive_of FROM baton.dispatch p JOIN baton.task i USING (task_id) WHERE p.scope_id = $1
    UNION
    SELECT i.task_id, i.redrive_of FROM place p JOIN baton.task i ON i.task_id = p.redrive_of WHERE i.run_id = $1
)
SELECT t.task_id, d.task_id IS NOT NULL AND d.finalized_at < (SELECT baton._clock() - $2)
      AND ($3 IS NULL OR d.queue_id = ANY ($3)) AND ($4 IS NULL OR d.state = ANY ($4))
      AND NOT EXISTS (SELECT FROM baton.due u JOIN baton.step s USING (step_id) JOIN baton.run r USING (run_id) WHERE s.run_id = $1 AND r.state < 10)
FROM place t
LEFT JOIN baton.task_done d USING (task_id)
