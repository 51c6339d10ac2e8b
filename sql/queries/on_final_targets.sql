-- Where the ends of these tasks ($1) are to be told, by what is committed now: the task, the queue, and what a new task
-- takes from it. Takes no lock.
SELECT d.task_id, t.queue_id, t.max_attempts
FROM unnest($1) AS u (task_id)
JOIN baton.task_done d USING (task_id)
JOIN baton.queue q ON q.queue_id = d.queue_id
JOIN baton.queue t ON t.queue_id = q.on_final_queue_id AND t.dropped_at IS NULL
