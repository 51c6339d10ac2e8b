-- The step of a live task, and whether it is there for failures. Takes no lock.
SELECT s.step_id, s.survives_failure FROM baton.task_live l JOIN baton.step s USING (step_id) WHERE l.task_id = $1
