-- The number of a compensation that was registered for a task under this name and payload. The task is locked by this transaction.
SELECT compensation_no FROM baton.compensation WHERE task_id = $1 AND name = $2 AND payload = $3 AND lease_token IS NOT NULL
