-- The items of a step in their order, from an index on. Takes no lock. (The step as a value: joined, the order would be had by reading the items of all steps.)
SELECT t.item_index, t.task_id, baton._state_name(coalesce(l.state, d.state)), d.result, d.error
FROM baton.task t
LEFT JOIN baton.task_live l USING (task_id)
LEFT JOIN baton.task_done d USING (task_id)
WHERE t.step_id = (SELECT s.step_id FROM baton.step s WHERE s.run_id = $1 AND s.name = $2 AND ($5 IS NULL OR s.queue_id = ANY ($5)))
  AND t.item_index > $3
ORDER BY t.step_id, t.item_index LIMIT $4
