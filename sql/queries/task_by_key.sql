-- The task that holds a key, and whether its payload is this one. Takes no lock.
SELECT t.task_id, coalesce(l.state, d.state), t.payload = $3
FROM baton.task t
LEFT JOIN baton.task_live l USING (task_id)
LEFT JOIN baton.task_done d USING (task_id)
WHERE t.queue_id = $1 AND t.key = $2
