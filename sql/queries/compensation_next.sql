-- What is to be undone next for a task: what was registered last, of what has not been undone. The task is locked by this transaction.
SELECT compensation_id, queue_id FROM baton.compensation
WHERE task_id = $1 AND compensation_task_id IS NULL AND state IS NULL
ORDER BY task_id DESC, compensation_no DESC LIMIT 1
