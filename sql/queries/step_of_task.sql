-- The step of a task. Takes no lock.
SELECT step_id FROM baton.task_done WHERE task_id = $1
