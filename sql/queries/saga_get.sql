-- How a task ended first. Takes no lock.
SELECT state, reason, result, error FROM baton.saga WHERE task_id = $1
