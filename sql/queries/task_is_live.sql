-- Whether a task has not ended. Takes no lock.
SELECT EXISTS (SELECT FROM baton.task_live WHERE task_id = $1)
