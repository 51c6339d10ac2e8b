-- 10,000 leases that are kept alive twice, each heartbeat a transaction, in no order: how many updates that were, and how many of them were
-- heap-only (HOT).
SELECT count(*) AS made FROM task_create_many('bench', array_fill('{"k": 1}'::jsonb, ARRAY[10000])) \gset
CREATE TEMP TABLE lease AS SELECT task_id, lease_token FROM generate_series(1, 10) g, task_acquire_lease('bench', 'worker', '1 h', 1000 + 0 * g);
SELECT pg_stat_force_next_flush() \gset
SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE relid = 'baton.task_live'::regclass \gset
DO $$
DECLARE
    ttl interval;
    l lease;
BEGIN
    FOREACH ttl IN ARRAY ARRAY['2 h', '3 h']::interval[] LOOP
        FOR l IN SELECT * FROM lease ORDER BY md5(task_id::text) LOOP
            PERFORM task_heartbeat(l.task_id, l.lease_token, ttl);
            COMMIT;
        END LOOP;
    END LOOP;
END
$$;
SELECT pg_stat_force_next_flush() \gset
SELECT n_tup_upd - :updates, n_tup_hot_upd - :hot FROM pg_stat_user_tables WHERE relid = 'baton.task_live'::regclass;
