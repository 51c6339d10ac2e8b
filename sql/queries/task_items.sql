-- The items of a step in their order, from an index on. Takes no lock.
SELECT t.item_index, t.task_id, baton._state_name(coalesce(l.state, d.state)), d.result, d.error
FROM baton.step s
JOIN baton.task t USING (step_id)
LEFT JOIN baton.task_live l USING (task_id)
LEFT JOIN baton.task_done d USING (task_id)
WHERE s.run_id = $1 AND s.name = $2 AND t.item_index > $3 AND ($5 IS NULL OR s.queue_id = ANY ($5))
ORDER BY t.step_id, t.item_index LIMIT $4
