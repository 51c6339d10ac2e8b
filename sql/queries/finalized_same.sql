-- Whether a task ended with these very values. Takes no lock.
SELECT state = $2 AND result IS NOT DISTINCT FROM $3 AND error IS NOT DISTINCT FROM $4 AND reason IS NOT DISTINCT FROM $5
FROM baton.task_done WHERE task_id = $1
