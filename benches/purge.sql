-- How long baton_purge takes for 1,000,000 finished tasks, 10,000 a call: `psql -f benches/purge.sql` as a superuser, in a
-- new database. The tasks are written directly, with the guard on the tables off.
CREATE EXTENSION pg_baton;
SELECT queue_create('q');
SET session_replication_role = replica;
INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, name, payload, metadata)
SELECT i, now() - interval '10 days', 1, 5, 0, 'n', '{"path": "/some/where/over/the/rainbow.txt", "size": 12345}', '{}'
FROM generate_series(1, 1000000) i;
INSERT INTO baton.task_done (task_id, lease_token, leased_at, finalized_at, last_seq, leased_seq, queue_id, attempt, lost_leases, state, ended_by_lease, owner, result)
SELECT i, i, now() - interval '9 days', now() - interval '9 days' + i * interval '1 ms', 2, 1, 1, 1, 0, CASE WHEN i % 100 = 0 THEN 11 ELSE 10 END, true, 'worker-1', '{"lines": 17}'
FROM generate_series(1, 1000000) i;
RESET session_replication_role;
VACUUM ANALYZE baton.task, baton.task_done;
CHECKPOINT;
DO $$
DECLARE calls int := 0; more boolean; began timestamptz := clock_timestamp();
BEGIN
    LOOP
        SELECT p.more INTO more FROM baton_purge('1 day') p;
        calls := calls + 1;
        COMMIT;
        EXIT WHEN NOT more;
    END LOOP;
    RAISE NOTICE '% calls in %', calls, clock_timestamp() - began;
END
$$;
