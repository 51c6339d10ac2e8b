-- :tasks tasks that ended nine days ago, one in a hundred failed; written behind the functions' back in the shape in which they would have left them.
SET session_replication_role = replica;
SELECT min(nextval('baton.id_seq')) AS base FROM generate_series(1, :tasks) \gset
INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, name, payload, metadata)
    SELECT :base + g, now() - interval '10 days', 1, 5, 0, 'n', '{"path": "/some/where/over/the/rainbow.txt", "size": 12345}', '{}' FROM generate_series(0, :tasks - 1) g;
INSERT INTO baton.task_done (task_id, lease_token, leased_at, finalized_at, last_seq, leased_seq, queue_id, attempt, lost_leases, state, ended_by_lease, owner, result)
    SELECT :base + g, g, now() - interval '9 days', now() - interval '9 days' + g * interval '1 ms', 2, 1, 1, 1, 0,
        CASE WHEN g % 100 = 0 THEN 11 ELSE 10 END, true, 'worker-1', '{"lines": 17}' FROM generate_series(0, :tasks - 1) g;
