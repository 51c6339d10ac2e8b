-- The items of a step. Takes no lock.
SELECT t.item_index, t.task_id, baton._state_name(coalesce(l.state, d.state))
FROM baton.task t
LEFT JOIN baton.task_live l USING (task_id)
LEFT JOIN baton.task_done d USING (task_id)
WHERE t.step_id = $1
ORDER BY t.step_id, t.item_index
