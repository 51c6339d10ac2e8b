-- Items of one group that end in one call are counted one by one, those of one counter too: by a batch, and by a sweep.

SELECT queue_create('q', max_lost_leases => 1);

-- Four items in two counters, one for the even ones, one for the odd ones.
SELECT count(*) FROM task_create_items('q', 'reported', '{0,1,2,3}'::jsonb[], successor => 'after the batch');
SELECT array_agg(task_id ORDER BY item_index) AS ids, array_agg(lease_token ORDER BY item_index) AS tokens
FROM task_acquire_lease('q', 'w', max_tasks => 4) \gset
SELECT ordinal, outcome FROM task_finalize_many(:'ids', :'tokens', '{completed,failed,completed,failed}');
SELECT outcome, siblings_remaining, completed, failed, cancelled
FROM task_dispatch_successor((:'ids'::bigint[])[1], 'after the batch', 'q');
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 9);

-- Their leases are lost in one sweep; two of them were called off.
SELECT count(*) FROM task_create_items('q', 'lost', '{0,1,2,3}'::jsonb[], successor => 'after the sweep');
SELECT array_agg(task_id ORDER BY item_index) AS ids FROM task_acquire_lease('q', 'w', '100 ms', 4) \gset
SELECT c.outcome FROM unnest((:'ids'::bigint[])[3:4]) AS i (task_id), task_cancel(i.task_id) c;
SELECT pg_sleep(0.12);
SELECT r.outcome FROM task_reap() r ORDER BY r.task_id;
SELECT outcome, siblings_remaining, completed, failed, cancelled
FROM task_dispatch_successor((:'ids'::bigint[])[1], 'after the sweep', 'q');
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 9);

-- The same with all of them lost, and with all of them called off.
SELECT count(*) FROM task_create_items('q', 'lost', '{0,1,2,3}'::jsonb[], successor => 'after the losses');
SELECT array_agg(task_id ORDER BY item_index) AS ids, max(lease_token) AS last FROM task_acquire_lease('q', 'dead', '1 h', 4) \gset
SELECT r.outcome FROM task_reap_owner('dead', :last) r ORDER BY r.task_id;
SELECT outcome, siblings_remaining, completed, failed, cancelled
FROM task_dispatch_successor((:'ids'::bigint[])[1], 'after the losses', 'q');
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 9);
SELECT count(*) FROM task_create_items('q', 'lost', '{0,1,2,3}'::jsonb[], successor => 'after the cancels');
SELECT array_agg(task_id ORDER BY item_index) AS ids, max(lease_token) AS last FROM task_acquire_lease('q', 'gone', '1 h', 4) \gset
SELECT c.outcome FROM unnest(:'ids'::bigint[]) AS i (task_id), task_cancel(i.task_id) c;
SELECT r.outcome FROM task_reap_owner('gone', :last) r ORDER BY r.task_id;
SELECT outcome, siblings_remaining, completed, failed, cancelled
FROM task_dispatch_successor((:'ids'::bigint[])[1], 'after the cancels', 'q');
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 9);

SELECT * FROM baton_check(true);
