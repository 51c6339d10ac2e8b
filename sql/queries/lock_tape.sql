-- Holds a live task's tape still. Locks the task FOR NO KEY UPDATE.
SELECT true FROM baton.task_live WHERE task_id = $1 FOR NO KEY UPDATE
