-- The tasks of these steps that ended failed or quarantined. Takes no lock.
SELECT d.task_id FROM baton.task t JOIN baton.task_done d USING (task_id) WHERE t.step_id = ANY ($1) AND d.state IN (11, 14)
