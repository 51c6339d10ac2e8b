-- The ledger of a run, in the order of registration. Takes no lock.
SELECT t.name, t.item_index, c.task_id, c.compensation_no, c.name, c.compensation_task_id, baton._state_name_of_compensation(c.state, l.state), c.error, q.name, c.payload
FROM baton.compensation c
JOIN baton.task t USING (task_id)
JOIN baton.queue q ON q.queue_id = c.queue_id
LEFT JOIN baton.task_live l ON l.task_id = c.compensation_task_id
WHERE c.run_id = $1 AND ($2 IS NULL OR t.queue_id = ANY ($2))
ORDER BY c.compensation_id
