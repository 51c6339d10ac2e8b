-- Where the ends of these tasks ($1) are to be told, by what is committed now. Takes no lock.
SELECT d.task_id, q.on_final_queue_id
FROM unnest($1) AS u (task_id)
JOIN baton.task_done d USING (task_id)
JOIN baton.queue q ON q.queue_id = d.queue_id
WHERE q.on_final_queue_id IS NOT NULL
