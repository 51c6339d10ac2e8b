-- The ledger of a task, in the order of registration. Takes no lock.
SELECT c.compensation_no, c.name, c.compensation_task_id, baton._state_name_of_compensation(c.state, l.state), c.error
FROM baton.compensation c
JOIN baton.task t USING (task_id)
LEFT JOIN baton.task_live l ON l.task_id = c.compensation_task_id
WHERE c.task_id = $1 AND ($2 IS NULL OR t.queue_id = ANY ($2))
ORDER BY c.compensation_no
