-- task_reap: what becomes of leases that ran out, by the queue's on_lost.

SELECT queue_create('requeue', max_lost_leases => 2);
SELECT queue_create('unstarted', on_lost => 'requeue_unstarted', max_lost_leases => 1);
SELECT queue_create('fail', on_lost => 'fail');
SELECT * FROM task_reap();
SELECT * FROM task_reap(10, 'default');
SELECT * FROM task_reap(queue => 'nowhere');

-- Only what has expired.
SELECT outcome FROM unnest(ARRAY['requeue', 'unstarted', 'fail']) q, unnest(ARRAY['expires', 'lives']) key, task_create(q, key => key);
SELECT outcome FROM unnest(ARRAY['requeue', 'unstarted', 'fail']) q, unnest(ARRAY['100 ms', '1 min']::interval[]) WITH ORDINALITY ttl (ttl, n), task_get_by_key(q, (ARRAY['expires', 'lives'])[n]) t, task_acquire_lease_by_id(t.task_id, 'w', ttl);
SELECT pg_sleep(0.12);
SELECT queue, expired, count(*) FROM baton.leases GROUP BY 1, 2 ORDER BY 1, 2;
SELECT queue, outcome FROM task_reap() r JOIN (SELECT task_id, q.name AS queue FROM baton.task JOIN baton.queue q USING (queue_id)) t USING (task_id) ORDER BY queue;
SELECT q, key, state, reason, attempt, lost_leases, owner FROM unnest(ARRAY['requeue', 'unstarted', 'fail']) q, unnest(ARRAY['expires', 'lives']) k, task_get_by_key(q, k) ORDER BY key, q;
SELECT * FROM task_reap();
SELECT q, seq, kind, e.body FROM unnest(ARRAY['requeue', 'unstarted', 'fail']) q, task_get_by_key(q, 'expires') t, task_events(t.task_id) e ORDER BY q, seq;

-- requeue: the last loss that max_lost_leases allows quarantines it.
SELECT lease_token AS l, attempt, lost_leases FROM task_acquire_lease('requeue', 'w', '100 ms') \gset
SELECT :attempt AS attempt, :lost_leases AS lost_leases;
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap(queue => 'requeue');
SELECT state, reason, attempt, lost_leases, error FROM task_get_by_key('requeue', 'expires');
SELECT seq, kind, e.body FROM task_get_by_key('requeue', 'expires') t, task_events(t.task_id) e WHERE seq > 3;
SELECT f.outcome, f.state FROM task_get_by_key('requeue', 'expires') t, task_finalize(t.task_id, :l, 'completed') f;
-- Losses in between do not use up attempts, nor do failed attempts use up losses.
SELECT task_id AS t FROM task_create('requeue', max_attempts => 2) \gset
SELECT lease_token AS l FROM task_acquire_lease('requeue', 'w') \gset
SELECT outcome FROM task_fail_attempt(:t, :l, retry_after => '0');
SELECT attempt FROM task_acquire_lease('requeue', 'w', '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT attempt, lost_leases FROM task_acquire_lease('requeue', 'w', '1 min');
SELECT lease_token AS l FROM task_get(:t) \gset
SELECT outcome, state FROM task_fail_attempt(:t, :l, retry_after => '0');
SELECT reason FROM task_get(:t);

-- requeue_unstarted: before task_start it is requeued, however often, and not counted; after it, it fails.
SELECT attempt, lost_leases FROM task_acquire_lease('unstarted', 'w', '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT task_id AS t, lease_token AS l, attempt, lost_leases FROM task_acquire_lease('unstarted', 'w', '300 ms') \gset
SELECT :attempt AS attempt, :lost_leases AS lost_leases;
SELECT outcome FROM task_start(:t, :l, '100 ms');
SELECT pg_sleep(0.35);
SELECT outcome FROM task_reap();
SELECT state, reason FROM task_get(:t);
-- The same found by an acquire.
SELECT task_id AS t FROM task_create('unstarted') \gset
SELECT lease_token AS l FROM task_acquire_lease('unstarted', 'w', '300 ms') \gset
SELECT outcome FROM task_start(:t, :l, '100 ms');
SELECT pg_sleep(0.35);
SELECT count(*) FROM task_acquire_lease('unstarted', 'w', max_tasks => 10);
SELECT state, reason FROM task_get(:t);
SELECT outcome, state FROM task_finalize(:t, :l, 'completed');

-- Settings that were altered apply to leases that are lost from now on.
SELECT task_id AS t FROM task_create('fail') \gset
SELECT lease_token AS l FROM task_acquire_lease('fail', 'w', '100 ms') \gset
SELECT queue_alter('fail', on_lost => 'requeue');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT state FROM task_get(:t);

-- Bounded; one queue only.
SELECT queue_create('a');
SELECT queue_create('b');
SELECT q, count(*) FROM unnest(ARRAY['a', 'b']) q, task_create_many(q, array_fill('{}'::jsonb, ARRAY[5])) GROUP BY q ORDER BY q;
SELECT q, count(*) FROM unnest(ARRAY['a', 'b']) q, task_acquire_lease(q, 'w', '100 ms', 5) GROUP BY q ORDER BY q;
SELECT pg_sleep(0.12);
SELECT count(*) FROM task_reap(3, 'a');
SELECT queue, ready, running FROM baton.queue_stats WHERE queue IN ('a', 'b') ORDER BY queue;
SELECT count(*) FROM task_reap(100, 'a');
SELECT count(*) FROM task_reap(4);
SELECT count(*) FROM task_reap();
SELECT queue, ready, running FROM baton.queue_stats WHERE queue IN ('a', 'b') ORDER BY queue;

-- It makes due tasks ready, too.
SELECT task_id AS t FROM task_create('a', run_at => clock_timestamp() + interval '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT * FROM task_reap();
SELECT state FROM task_get(:t);

-- A task that ends by a reap ends its group.
SELECT queue_create('items', max_lost_leases => 1);
SELECT DISTINCT run_id AS run FROM task_create_items('items', 'g', ARRAY['0', '1']::jsonb[], max_parallel => 1, successor => 'after') \gset
SELECT item_index FROM task_acquire_lease('items', 'w', '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT item_index, state FROM task_items(:run, 'g');
SELECT item_index FROM task_acquire_lease('items', 'w', '100 ms');
SELECT pg_sleep(0.12);
SELECT name FROM task_acquire_lease('items', 'w');

SELECT * FROM task_reap(0);
SELECT * FROM task_reap(1001);

SELECT * FROM baton_check(true);
