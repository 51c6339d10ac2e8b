-- A task's metadata, held still, with what is to be merged into it: the result, whether that is a change, and how
-- many changes there were. Locks the task's row FOR NO KEY UPDATE, waiting for another who annotates it.
WITH held AS MATERIALIZED (
    SELECT task_id, metadata FROM baton.task WHERE task_id = $1 AND ($3 IS NULL OR queue_id = ANY ($3)) FOR NO KEY UPDATE
)
SELECT h.metadata || $2, h.metadata || $2 <> h.metadata FROM held h
