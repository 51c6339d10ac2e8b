-- The tasks of a run ($1), locked FOR UPDATE by this transaction, and whether each may go: it ended before $2 ago, in
-- the queues $3 and the states $4 (NULL: all), and no successor is due. Takes no lock.
SELECT t.task_id, d.task_id IS NOT NULL AND d.finalized_at < (SELECT baton._clock() - $2)
      AND ($3 IS NULL OR d.queue_id = ANY ($3)) AND ($4 IS NULL OR d.state = ANY ($4))
      AND NOT EXISTS (SELECT FROM baton.due u JOIN baton.step s USING (step_id) WHERE s.run_id = $1)
FROM (
    SELECT i.task_id FROM baton.step s JOIN baton.task i USING (step_id) WHERE s.run_id = $1
    UNION
    SELECT task_id FROM baton.dispatch WHERE scope_id = $1
) t
LEFT JOIN baton.task_done d USING (task_id)
