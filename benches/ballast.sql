-- 1,000,000 tasks each that are finished, scheduled for tomorrow, and blocked, and 10,000 leased ones: what an
-- acquire must not notice. Written behind the functions' back, in the shape in which they would have left them.
SET session_replication_role = replica;
SELECT min(nextval('baton.id_seq')) AS base FROM generate_series(1, 3010000) \gset
INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, payload, metadata)
    SELECT :base + g, now(), 1, 5, 0, '{}', '{}' FROM generate_series(0, 3009999) g;
INSERT INTO baton.task_done (task_id, finalized_at, last_seq, queue_id, attempt, lost_leases, state, ended_by_lease)
    SELECT :base + g, now(), 1, 1, 0, 0, 12, false FROM generate_series(0, 999999) g;
INSERT INTO baton.task_live (task_id, ready_seq, run_at, last_seq, queue_id, attempt, lost_leases, state, priority)
    SELECT :base + g, nextval('baton.ready_seq'), now() + '1 day', 0, 1, 0, 0, 0, 0 FROM generate_series(1000000, 1999999) g;
INSERT INTO baton.task_live (task_id, slot_keys, waits_for, ready_seq, last_seq, queue_id, attempt, lost_leases, state, priority)
    SELECT :base + g, '{9000000000}', 9000000000, nextval('baton.ready_seq'), 0, 1, 0, 0, 1, 0 FROM generate_series(2000000, 2999999) g;
INSERT INTO baton.task_live (task_id, ready_seq, last_seq, queue_id, attempt, lost_leases, state, priority, lease_token, leased_at, lease_expires_at, check_at, owner, leased_seq)
    SELECT :base + g, nextval('baton.ready_seq'), 1, 1, 1, 0, 3, 0, nextval('baton.token_seq'), now(), now() + '1 h', now() + '1 h', 'other', 1
    FROM generate_series(3000000, 3009999) g;
VACUUM ANALYZE;
