-- The first step that has items which are no tasks yet, and whose tasks hold slots of this key: a step's, or a run's. Takes no lock.
SELECT step_id FROM baton.step_batch WHERE step_id = $1
UNION ALL
SELECT s.step_id FROM baton.step s JOIN baton.step_batch b USING (step_id) WHERE s.run_id = $1 AND s.state = 1 AND s.max_parallel IS NULL
LIMIT 1
