-- :tasks tasks each that are scheduled for tomorrow, blocked for a slot, and ready in a queue that is paused; written behind the
-- functions' back in the shape in which they would have left them.
SELECT queue_create('paused'), queue_pause('paused') \gset
SELECT queue_id AS paused FROM baton.queue WHERE name = 'paused' \gset
SET session_replication_role = replica;
SELECT min(nextval('baton.id_seq')) AS base FROM generate_series(1, 3 * :tasks) \gset
INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, payload, metadata)
    SELECT :base + g, now(), CASE WHEN g < 2 * :tasks THEN 1 ELSE :paused END, 5, 0, '{}', '{}' FROM generate_series(0, 3 * :tasks - 1) g;
INSERT INTO baton.task_live (task_id, ready_seq, run_at, last_seq, queue_id, attempt, lost_leases, state, priority)
    SELECT :base + g, nextval('baton.ready_seq'), now() + '1 day', 0, 1, 0, 0, 0, 0 FROM generate_series(0, :tasks - 1) g;
INSERT INTO baton.task_live (task_id, slot_keys, waits_for, ready_seq, last_seq, queue_id, attempt, lost_leases, state, priority)
    SELECT :base + g, '{9000000000}', 9000000000, nextval('baton.ready_seq'), 0, 1, 0, 0, 1, 0 FROM generate_series(:tasks, 2 * :tasks - 1) g;
INSERT INTO baton.task_live (task_id, ready_seq, ready_at, last_seq, queue_id, attempt, lost_leases, state, priority)
    SELECT :base + g, nextval('baton.ready_seq'), now(), 0, :paused, 0, 0, 2, 0 FROM generate_series(2 * :tasks, 3 * :tasks - 1) g;
