-- task_create_many: a row per payload, in the order of the array.

SELECT queue_create('q');
SELECT ordinal, outcome, task_id > 0 AS has_id
FROM task_create_many('q', ARRAY['{"n": 1}', '{"n": 2}', '{"n": 3}']::jsonb[], name => 'batch', priority => 2, max_attempts => 9);
SELECT name, priority, max_attempts, state, payload, metadata FROM (SELECT task_id FROM baton.task) t, LATERAL task_get(t.task_id) g ORDER BY g.task_id;
-- They get in line in the order of the array.
SELECT payload FROM task_acquire_lease('q', 'w', max_tasks => 10);

-- Keys: new, taken by a task that exists, NULL, and twice in one array.
SELECT outcome FROM task_create('q', '{"v": 0}', key => 'old');
SELECT ordinal, outcome, count(*) OVER (PARTITION BY task_id) AS rows_of_task
FROM task_create_many('q', ARRAY['{"v": 0}', '{"v": 1}', '{"v": 2}', '{"v": 2}', '{"v": 3}', '{"v": 4}', '{"v": 4}']::jsonb[],
                      keys => ARRAY['old', 'old', 'new', 'new', 'new', NULL, NULL])
ORDER BY ordinal;
SELECT payload FROM task_get_by_key('q', 'new');
-- The same again: every key exists.
SELECT ordinal, outcome
FROM task_create_many('q', ARRAY['{"v": 2}', '{"v": 9}']::jsonb[], keys => ARRAY['new', 'old']);
-- In line in the order of the array, whatever the keys' order.
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 100);
SELECT ordinal, outcome FROM task_create_many('q', ARRAY['1', '2', '3']::jsonb[], keys => ARRAY['z', 'm', 'a']);
SELECT key, payload FROM task_acquire_lease('q', 'w', max_tasks => 10);

-- Nothing to do.
SELECT * FROM task_create_many('q', '{}');

-- Scheduled.
SELECT count(*) FROM task_create_many('q', ARRAY['1', '2']::jsonb[], run_at => clock_timestamp() + interval '1 hour');
SELECT scheduled, ready, running FROM baton.queue_stats WHERE queue = 'q';

-- With slot keys, for all of them: the first are ready, with slots, the others stand in line; in the order of the array, and once for a key.
SELECT slot_set('k', 2), slot_set('l', 9);
SELECT queue_create('s');
SELECT ordinal, outcome FROM task_create_many('s', ARRAY['1', '2', '3', '3', '4']::jsonb[], keys => ARRAY['z', 'y', 'x', 'x', 'w'], slot_keys => '{l,k}') ORDER BY ordinal;
SELECT key, state, slot_keys, (SELECT count(*) FROM baton.slot WHERE holder = task_id) AS slots FROM task_list('s') ORDER BY task_id;
SELECT ordinal, outcome FROM task_create_many('s', ARRAY['1', '0']::jsonb[], keys => ARRAY['z', 'y'], slot_keys => '{l}');
SELECT count(*) FROM task_create_many('s', ARRAY['5', '6']::jsonb[], run_at => clock_timestamp() + interval '1 hour', slot_keys => '{l}');
SELECT slot_key, capacity, holders, waiters FROM baton.slot_usage ORDER BY 1;
SELECT f.outcome, (SELECT array_agg(g.key) FROM unnest(f.dispatched) id, task_get(id) g) AS dispatched FROM task_acquire_lease('s', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT f.outcome, (SELECT array_agg(g.key) FROM unnest(f.dispatched) id, task_get(id) g) AS dispatched FROM task_acquire_lease('s', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;

-- Many.
SELECT outcome, count(*), min(ordinal), max(ordinal), count(DISTINCT task_id)
FROM task_create_many('default', array_fill('{}'::jsonb, ARRAY[10000])) GROUP BY outcome;

-- All or nothing when it is misuse.
SELECT * FROM task_create_many('q', ARRAY['1', NULL]::jsonb[]);
SELECT * FROM task_create_many('q', ARRAY['1', '2']::jsonb[], keys => ARRAY['only one']);
SELECT * FROM task_create_many('q', ARRAY['1', '2']::jsonb[], keys => ARRAY['fine', '']);
SELECT * FROM task_create_many('nowhere', ARRAY['1']::jsonb[]);
SELECT * FROM task_create_many('q', array_fill('{}'::jsonb, ARRAY[10001]));
SELECT count(*) FROM task_get_by_key('q', 'fine');

SELECT * FROM baton_check(true);
