-- The task that a task was redriven as. Takes no lock.
SELECT new_task_id FROM baton.redrive WHERE task_id = $1
