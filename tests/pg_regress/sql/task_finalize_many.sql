-- task_finalize_many: a row per element, in the order of the arrays; a bad one never stops the others.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT array_agg(task_id ORDER BY ordinal) AS t FROM task_create_many('q', array_fill('{}'::jsonb, ARRAY[6])) \gset
SELECT array_agg(lease_token ORDER BY task_id) AS l FROM task_acquire_lease('q', 'w', max_tasks => 5) \gset
SELECT outcome FROM task_cancel((:'t'::bigint[])[2], force => true);
-- In turn: done, cancelled by force, no such task, stale token, never leased, failed, the first one again: the same and differently.
SELECT ordinal, array_position(:'t'::bigint[], task_id) AS task, outcome, state, finalized_at IS NOT NULL AS at
FROM task_finalize_many(
    ARRAY[(:'t'::bigint[])[5], (:'t'::bigint[])[2], 999999999, (:'t'::bigint[])[3], (:'t'::bigint[])[6], (:'t'::bigint[])[1], (:'t'::bigint[])[5], (:'t'::bigint[])[5]],
    ARRAY[(:'l'::bigint[])[5], (:'l'::bigint[])[2], 1, 1, 1, (:'l'::bigint[])[1], (:'l'::bigint[])[5], (:'l'::bigint[])[5]],
    ARRAY['completed', 'completed', 'completed', 'completed', 'completed', 'failed', 'completed', 'quarantined'],
    ARRAY['5', NULL, NULL, NULL, NULL, NULL, '5', '5']::jsonb[],
    ARRAY[NULL, NULL, NULL, NULL, NULL, '{"why": 1}', NULL, NULL]::jsonb[]);
SELECT array_position(:'t'::bigint[], g.task_id) AS task, g.state, g.result, g.error FROM unnest(:'t'::bigint[]) t, task_get(t) g ORDER BY 1;
-- A replay of the whole.
SELECT ordinal, outcome FROM task_finalize_many((:'t'::bigint[])[5:5] || (:'t'::bigint[])[1:1], (:'l'::bigint[])[5:5] || (:'l'::bigint[])[1:1], ARRAY['completed', 'failed'], ARRAY['5', NULL]::jsonb[], ARRAY[NULL, '{"why": 1}']::jsonb[]);
-- Without results and errors.
SELECT ordinal, outcome, state FROM task_finalize_many((:'t'::bigint[])[3:4], (:'l'::bigint[])[3:4], ARRAY['completed', 'cancelled']);
SELECT * FROM task_finalize_many('{}', '{}', '{}');

-- Items of a bounded group, some of them in one call: slots are handed on, the join is counted, one successor.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', ARRAY['0', '1', '2', '3', '4']::jsonb[], max_parallel => 2, successor => 'fold') \gset
SELECT outcome FROM task_cancel((:'t'::bigint[])[6]);
SELECT array_agg(task_id) AS t, array_agg(lease_token) AS l FROM task_acquire_lease('q', 'w', max_tasks => 10) \gset
SELECT ordinal, outcome FROM task_finalize_many(:'t', :'l', ARRAY['completed', 'failed']);
SELECT item_index, state FROM task_items(:run, 'g');
SELECT array_agg(task_id) AS t, array_agg(lease_token) AS l FROM task_acquire_lease('q', 'w', max_tasks => 10) \gset
SELECT ordinal, outcome FROM task_finalize_many(:'t', :'l', ARRAY['completed', 'completed']);
SELECT array_agg(task_id) AS t, array_agg(lease_token) AS l FROM task_acquire_lease('q', 'w', max_tasks => 10) \gset
SELECT ordinal, outcome FROM task_finalize_many(:'t', :'l', ARRAY['cancelled']);
SELECT item_index, state FROM task_items(:run, 'g');
SELECT name, run_id = :run AS of_run FROM task_acquire_lease('q', 'w', max_tasks => 10);

-- Misuse stops the call.
SELECT * FROM task_finalize_many('{1,2}', '{1}', '{completed,completed}');
SELECT * FROM task_finalize_many('{1,2}', '{1,2}', '{completed}');
SELECT * FROM task_finalize_many('{1,2}', '{1,2}', '{completed,running}');
SELECT * FROM task_finalize_many('{1,2}', '{1,NULL}', '{completed,failed}');
SELECT * FROM task_finalize_many('{1,2}', '{1,2}', '{completed,NULL}');
SELECT * FROM task_finalize_many('{1,2}', '{1,2}', '{completed,failed}', ARRAY['1']::jsonb[]);
SELECT * FROM task_finalize_many('{1,2}', '{1,2}', '{completed,failed}', NULL, ARRAY['1']::jsonb[]);
SELECT * FROM task_finalize_many(array_fill(1::bigint, ARRAY[1001]), array_fill(1::bigint, ARRAY[1001]), array_fill('failed'::text, ARRAY[1001]));

SELECT * FROM baton_check(true);
