-- The changes of a task's metadata, in order. Takes no lock.
SELECT a.at, a.role, a.metadata
FROM baton.annotation a
WHERE a.task_id = $1 AND ($2 IS NULL OR EXISTS (SELECT FROM baton.task t WHERE t.task_id = $1 AND t.queue_id = ANY ($2)))
ORDER BY a.task_id, a.seq
