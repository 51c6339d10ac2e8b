-- A task that lacks a slot gets in line for key $2 (NULL: it waits for its run to be resumed); with $3 it comes from another line, and keeps its place. It is locked FOR UPDATE by this
-- transaction.
UPDATE baton.task_live SET state = 1, waits_for = CASE WHEN $3 THEN -$2 ELSE $2 END, ready_seq = CASE WHEN $3 THEN ready_seq ELSE nextval('baton.ready_seq') END, ready_at = NULL
WHERE task_id = $1
