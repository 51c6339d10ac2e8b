-- task_acquire_lease: what is found, in which order, how many, whatever the caller's planner settings.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT queue_create('other');

-- Nothing there; the queue "default" is, before its first use.
SELECT * FROM task_acquire_lease('q', 'w');
SELECT * FROM task_acquire_lease('default', 'w');
SELECT * FROM task_acquire_lease('nowhere', 'w');

-- Everything a worker needs.
SELECT outcome FROM task_create('q', '{"n": 1}', name => 'send', key => 'k', metadata => '{"m": 1}');
SELECT task_id = (SELECT task_id FROM task_get_by_key('q', 'k')) AS right_task, lease_token > 0 AS has_token,
       lease_expires_at BETWEEN clock_timestamp() + interval '50 s' AND clock_timestamp() + interval '60 s' AS queue_ttl,
       attempt, lost_leases, name, key, payload, run_id, item_index, metadata
FROM task_acquire_lease('q', 'worker-1') \gx
SELECT state, owner, attempt, lost_leases, leased_at IS NOT NULL AS leased, heartbeat_at, started_at, lease_token > 0 AS token, last_seq FROM task_get_by_key('q', 'k');
SELECT e.seq, e.kind, e.body, e.lease_token = t.lease_token AS token FROM task_get_by_key('q', 'k') t, task_events(t.task_id) e;
SELECT * FROM task_acquire_lease('q', 'worker-2');
-- Its own ttl.
SELECT outcome FROM task_create('q');
SELECT lease_expires_at BETWEEN clock_timestamp() + interval '9 s' AND clock_timestamp() + interval '10 s' AS own_ttl FROM task_acquire_lease(queue => 'q', owner => 'w', ttl => '10 s', max_tasks => 1);

-- Highest priority first, then first come, first served; scheduled ones are not in line; no other queue's.
SELECT outcome FROM unnest(ARRAY[0, -9, 9, 0, 5, 9, -1]) WITH ORDINALITY p (priority, n), task_create('q', to_jsonb(n), priority => p.priority);
SELECT outcome FROM task_create('q', '"later"', priority => 9, run_at => clock_timestamp() + interval '1 h');
SELECT outcome FROM task_create('other', '"other"', priority => 9);
SELECT payload, g.priority FROM task_acquire_lease('q', 'w', max_tasks => 3) l, LATERAL (SELECT priority FROM baton.task t WHERE t.task_id = l.task_id) g;
SELECT payload FROM task_acquire_lease('q', 'w');
SELECT payload FROM task_acquire_lease('q', 'w', max_tasks => 100);

-- What becomes ready again takes its place behind what is in line.
SELECT outcome FROM unnest(ARRAY['a', 'b', 'c']) n, task_create('q', to_jsonb(n), key => n);
SELECT payload, outcome FROM task_acquire_lease('q', 'w') l, task_release(l.task_id, l.lease_token);
SELECT payload, outcome, state FROM task_acquire_lease('q', 'w') l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '0');
SELECT payload, attempt FROM task_acquire_lease('q', 'w', max_tasks => 100);

-- Due tasks get in line oldest run_at first, behind what is in line already.
SELECT outcome FROM unnest(ARRAY[560, 520, 540]) ms, task_create('q', to_jsonb(ms), run_at => clock_timestamp() + ms * interval '1 ms');
SELECT outcome FROM task_create('q', '"in line"');
SELECT payload FROM task_acquire_lease('q', 'w', max_tasks => 1);
SELECT pg_sleep(0.6);
SELECT payload FROM task_acquire_lease('q', 'w', max_tasks => 100);

-- Overdue leases come first, even before a higher priority; the loss is counted, the lost attempt is not.
SELECT outcome FROM unnest(ARRAY[1, 2, 3]) n, task_create('other', to_jsonb(n), key => n::text);
SELECT payload, attempt FROM task_acquire_lease('other', 'dies', '100 ms', 3);
SELECT outcome FROM task_create('other', '"urgent"', priority => 9);
SELECT pg_sleep(0.12);
SELECT payload, attempt, lost_leases FROM task_acquire_lease('other', 'w', max_tasks => 2) ORDER BY payload;
SELECT payload, attempt, lost_leases FROM task_acquire_lease('other', 'w', max_tasks => 2);
SELECT payload, attempt, lost_leases FROM task_acquire_lease('other', 'w', max_tasks => 100);
SELECT seq, kind, body FROM task_get_by_key('other', '1') t, task_events(t.task_id);
-- A lease that a heartbeat has extended is not overdue.
SELECT outcome FROM task_create('other', '"alive"');
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('other', 'w', '300 ms') \gset
SELECT outcome FROM task_heartbeat(:t, :l, '1 min');
SELECT pg_sleep(0.35);
SELECT count(*) FROM task_acquire_lease('other', 'w');
SELECT outcome FROM task_finalize(:t, :l, 'completed');

-- At most max_tasks, under every planner setting of the caller: before the first call of a session, and after ANALYZE.
SELECT queue_create('deep');
SELECT count(*) FROM task_create_many('deep', array_fill('{}'::jsonb, ARRAY[60]));
\c
SET enable_indexscan = off; SET enable_nestloop = off; SET enable_material = off; SET enable_hashjoin = off; SET plan_cache_mode = force_custom_plan;
SELECT count(*) FROM task_acquire_lease('deep', 'w');
SELECT count(*) FROM task_acquire_lease('deep', 'w', max_tasks => 7);
RESET ALL;
\c
SET enable_seqscan = off; SET enable_mergejoin = off; SET enable_hashjoin = off; SET jit_above_cost = 0; SET join_collapse_limit = 1; SET from_collapse_limit = 1; SET geqo_threshold = 2;
SELECT count(*) FROM task_acquire_lease('deep', 'w');
SELECT count(*) FROM task_acquire_lease('deep', 'w', max_tasks => 7);
ANALYZE baton.task, baton.task_live;
SELECT count(*) FROM task_acquire_lease('deep', 'w');
SELECT count(*) FROM task_acquire_lease('deep', 'w', max_tasks => 7);
\c
-- (its name changed in 16)
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \gset
SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off; SET enable_nestloop = off; SET work_mem = '64kB'; SET cursor_tuple_fraction = 0;
SELECT count(*) FROM task_acquire_lease('deep', 'w');
SELECT count(*) FROM task_acquire_lease('deep', 'w', max_tasks => 7);
SELECT count(*), min(lost_leases), max(attempt) FROM task_acquire_lease('deep', 'w', max_tasks => 1000);
SELECT running, ready FROM baton.queue_stats WHERE queue = 'deep';
RESET ALL;

-- Many overdue at once: at most max_tasks are leased, the others stay overdue.
SELECT queue_create('burst');
SELECT count(*) FROM task_create_many('burst', array_fill('{}'::jsonb, ARRAY[150]));
SELECT count(*) FROM task_acquire_lease('burst', 'dies', '100 ms', 150);
SELECT pg_sleep(0.12);
SELECT count(*) FROM task_acquire_lease('burst', 'w', max_tasks => 5);
SELECT count(*) FROM task_acquire_lease('burst', 'w', max_tasks => 1000);
SELECT count(DISTINCT lease_token), count(DISTINCT task_id), min(lost_leases), max(lost_leases) FROM baton.leases JOIN baton.task_live USING (task_id, lease_token) WHERE queue = 'burst';

-- Overdue leases that only end are settled a bounded number at a time: max_tasks + 100.
SELECT queue_create('fails', on_lost => 'fail');
SELECT count(*) FROM task_create_many('fails', array_fill('{}'::jsonb, ARRAY[200]));
SELECT count(*) FROM task_acquire_lease('fails', 'dies', '100 ms', 200);
SELECT pg_sleep(0.12);
SELECT count(*) FROM task_acquire_lease('fails', 'w', max_tasks => 50);
SELECT running FROM baton.queue_stats WHERE queue = 'fails';

-- Tokens grow in the order in which leases are granted.
SELECT bool_and(lease_token > before) FROM (
    SELECT lease_token, lag(lease_token) OVER (ORDER BY leased_at, lease_token) AS before FROM baton.leases) l;

SELECT * FROM baton_check(true);
