-- A scheduled or blocked task that has all it needs gets in line. It is locked FOR UPDATE by this
-- transaction.
UPDATE baton.task_live SET state = 2, waits_for = NULL, ready_seq = nextval('baton.ready_seq'), ready_at = baton._clock()
WHERE task_id = $1
