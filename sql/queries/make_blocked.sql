-- A scheduled task whose time has come waits for a slot. It is locked FOR UPDATE by this transaction.
UPDATE baton.task_live SET state = 1, ready_seq = nextval('baton.ready_seq'), ready_at = NULL
WHERE task_id = $1
