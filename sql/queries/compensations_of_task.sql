-- How the compensations of a task stand: whether one is under way; how the last one ended. The task is locked by this transaction.
SELECT EXISTS (SELECT FROM baton.compensation WHERE task_id = $1 AND compensation_task_id IS NOT NULL AND state IS NULL), l.compensation_no, l.name, l.compensation_task_id, l.state
FROM (SELECT) one
LEFT JOIN LATERAL (
    SELECT * FROM baton.compensation WHERE task_id = $1 AND state IS NOT NULL ORDER BY task_id, compensation_no LIMIT 1
) l ON true
