-- The tasks of these steps that ended failed or quarantined, or had failed before their work was undone. Takes no lock.
SELECT d.task_id FROM baton.task t JOIN baton.task_done d USING (task_id) WHERE t.step_id = ANY ($1) AND (d.state IN (11, 14) OR d.state = 13 AND EXISTS (SELECT FROM baton.saga g WHERE g.task_id = d.task_id AND g.state <> 12))
UNION ALL
SELECT l.task_id FROM baton.task_live l JOIN baton.saga g USING (task_id) WHERE l.step_id = ANY ($1) AND l.state = 4 AND g.state <> 12
