-- :tasks finished tasks, written behind the functions' back in the shape in which they would have left them.
SET session_replication_role = replica;
SELECT min(nextval('baton.id_seq')) AS base FROM generate_series(1, :tasks) \gset
INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, payload, metadata)
    SELECT :base + g, now(), 1, 5, 0, '{"k": 1}', '{}' FROM generate_series(0, :tasks - 1) g;
INSERT INTO baton.task_done (task_id, lease_token, leased_at, finalized_at, last_seq, leased_seq, queue_id, attempt, lost_leases, state, ended_by_lease, owner, result)
    SELECT :base + g, g, now(), now() + g * interval '1 ms', 2, 1, 1, 1, 0, 10, true, 'worker', '{"ok": true}' FROM generate_series(0, :tasks - 1) g;
