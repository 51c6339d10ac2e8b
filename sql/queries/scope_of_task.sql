-- Where a task stands for a dispatch: its run, its step, its queue, and whether it has ended. Takes no lock.
SELECT t.run_id, t.step_id, t.name, d.state
FROM baton.task t
LEFT JOIN baton.task_done d USING (task_id)
WHERE t.task_id = $1 AND ($2 IS NULL OR t.queue_id = ANY ($2))
