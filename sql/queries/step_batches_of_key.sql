-- The first step that has items which are no tasks yet, and whose tasks hold slots of this key: a step's, or a run's; not one with tasks that wait for another key. Takes no lock.
SELECT b.step_id FROM baton.step_batch b
WHERE b.step_id = $1 AND NOT EXISTS (SELECT FROM baton.task_live l WHERE l.step_id = b.step_id AND l.waits_for IS NOT NULL)
UNION ALL
SELECT s.step_id FROM baton.step s JOIN baton.step_batch b USING (step_id)
WHERE s.run_id = $1 AND s.state = 1 AND s.max_parallel IS NULL AND NOT EXISTS (SELECT FROM baton.task_live l WHERE l.step_id = b.step_id AND l.waits_for IS NOT NULL)
LIMIT 1
