-- A task that lacks a slot gets in line for key $2 (NULL: it waits for its run to be resumed). It is locked FOR UPDATE by this
-- transaction.
UPDATE baton.task_live SET state = 1, waits_for = $2, ready_seq = nextval('baton.ready_seq'), ready_at = NULL
WHERE task_id = $1
