-- Holds a live task's tape still. Locks the task FOR NO KEY UPDATE.
SELECT true FROM baton.task_live WHERE task_id = $1 AND ($2 IS NULL OR queue_id = ANY ($2)) FOR NO KEY UPDATE
