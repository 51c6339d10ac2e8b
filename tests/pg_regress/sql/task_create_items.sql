-- task_create_items: a group of known size, its bound, its join and its successor.

SELECT queue_create('cpu', lease_ttl => '1 min');
SELECT queue_create('fold');

-- Unbounded: all are in line at once.
SELECT outcome, run_id AS run, count(*) AS items, min(item_index), max(item_index), count(DISTINCT task_id) AS tasks, min(state) AS state
FROM task_create_items('cpu', 'one', ARRAY['{"i": 0}', '{"i": 1}', '{"i": 2}']::jsonb[], max_attempts => 2) GROUP BY 1, 2 \gset one_
SELECT :'one_outcome' AS outcome, :one_items AS items, :one_min AS min, :one_max AS max, :one_tasks AS tasks, :'one_state' AS state;
SELECT item_index, state, result, error FROM task_items(:one_run, 'one');
SELECT name, payload, item_index, run_id = :one_run AS of_run, attempt FROM task_acquire_lease('cpu', 'w', max_tasks => 10);
SELECT count(*) FROM task_items(:one_run, 'two');
SELECT count(*) FROM task_items(:one_run + 1000, 'one');

-- Another group of the same run; results come in the order of the items, a page at a time.
SELECT outcome, run_id = :one_run AS same_run, item_index, state
FROM task_create_items('cpu', 'two', ARRAY['10', '11', '12', '13']::jsonb[], run_id => :one_run);
SELECT outcome FROM task_acquire_lease('cpu', 'w', max_tasks => 4) l,
    task_finalize(l.task_id, l.lease_token, CASE WHEN item_index = 2 THEN 'failed' ELSE 'completed' END, l.payload, '{"no": 1}');
SELECT item_index, state, result, error FROM task_items(:one_run, 'two', max_items => 3);
SELECT item_index, state, result, error FROM task_items(:one_run, 'two', after_index => 2);

-- Bounded: max_parallel are in line, the others wait; who ends one makes the next ready, in order of their index.
SELECT DISTINCT run_id AS run FROM task_create_items('cpu', 'bounded', ARRAY['0', '1', '2', '3', '4']::jsonb[], max_parallel => 2,
    successor => 'report', successor_queue => 'fold', successor_payload => '{"what": "report"}') \gset
SELECT item_index, state FROM task_items(:run, 'bounded');
SELECT task_id AS t0, lease_token AS l0, item_index FROM task_acquire_lease('cpu', 'w') \gset
SELECT task_id AS t1, lease_token AS l1, item_index FROM task_acquire_lease('cpu', 'w') \gset
SELECT count(*) AS more_than_two FROM task_acquire_lease('cpu', 'w', max_tasks => 10);
-- A blocked one cannot be taken by id.
SELECT outcome, a.state, lease_token FROM task_items(:run, 'bounded', 2, 1) i, task_acquire_lease_by_id(i.task_id, 'w') a;
SELECT f.outcome, f.state, i.item_index AS dispatched
FROM task_finalize(:t1, :l1, 'completed', '"r1"') f, unnest(dispatched) d JOIN task_items(:run, 'bounded') i ON i.task_id = d;
SELECT item_index, state FROM task_items(:run, 'bounded');
-- A retry without delay keeps its place among the max_parallel; with a delay it gives it to the next.
SELECT outcome, state FROM task_fail_attempt(:t0, :l0, retry_after => '0');
SELECT item_index, state FROM task_items(:run, 'bounded');
SELECT item_index, attempt FROM task_acquire_lease('cpu', 'w', max_tasks => 10) ORDER BY 1;
SELECT task_id AS t0, lease_token AS l0 FROM baton.leases WHERE task_id = :t0 \gset
SELECT outcome, state FROM task_fail_attempt(:t0, :l0, retry_after => '150 ms');
SELECT item_index, state FROM task_items(:run, 'bounded');
-- Due again: it gets in line for a slot, and waits like the others.
SELECT pg_sleep(0.2);
SELECT item_index FROM task_acquire_lease('cpu', 'w', max_tasks => 10);
SELECT item_index, state FROM task_items(:run, 'bounded');
-- Cancel what waits, what is in line and what runs: the next is made ready by whoever ends one.
SELECT c.outcome FROM task_items(:run, 'bounded', 3, 1) i, task_cancel(i.task_id) c;
SELECT c.outcome FROM task_items(:run, 'bounded', 1, 1) i, task_cancel(i.task_id, force => true) c;
SELECT item_index, state FROM task_items(:run, 'bounded');
SELECT f.outcome, cardinality(f.dispatched) AS dispatched FROM task_items(:run, 'bounded', 2, 1) i JOIN baton.leases l USING (task_id), task_finalize(i.task_id, l.lease_token, 'failed') f;
SELECT item_index, state FROM task_items(:run, 'bounded');
SELECT count(*) AS before_the_end FROM task_acquire_lease('fold', 'w');
-- The last one dispatches the successor.
SELECT item_index, attempt FROM task_acquire_lease('cpu', 'w', max_tasks => 10);
SELECT task_id AS t0, lease_token AS l0 FROM baton.leases WHERE task_id = :t0 \gset
SELECT outcome, cardinality(dispatched), dispatched[1] AS fold FROM task_finalize(:t0, :l0, 'completed') \gset
SELECT :'outcome' AS outcome, :cardinality AS dispatched, queue, name, state, payload, run_id = :run AS of_run FROM task_get(:fold);
SELECT outcome, cardinality(dispatched) AS dispatched FROM task_finalize(:t0, :l0, 'completed');
SELECT outcome FROM task_acquire_lease('fold', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed', '"folded"');
SELECT count(*) FROM task_acquire_lease('fold', 'w');
-- Read like a group.
SELECT item_index, state, result FROM task_items(:run, 'report');

-- The last end may be a cancel or a reap; the successor's queue is the group's unless one is named.
SELECT run_id AS run2, task_id AS a FROM task_create_items('fold', 'g', ARRAY['1']::jsonb[], successor => 'after') \gset
SELECT outcome, state FROM task_cancel(:a);
SELECT name, payload, run_id = :run2 AS of_run FROM task_acquire_lease('fold', 'w');
SELECT queue_create('strict', on_lost => 'fail');
SELECT run_id AS run3, task_id AS a FROM task_create_items('strict', 'g', ARRAY['1']::jsonb[], successor => 'after') \gset
SELECT outcome FROM task_acquire_lease_by_id(:a, 'w', '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT name, run_id = :run3 AS of_run FROM task_acquire_lease('strict', 'w');

-- Exists: (run, name), and key.
SELECT outcome, run_id = :one_run AS same_run, item_index, state FROM task_create_items('cpu', 'two', ARRAY['10', '11', '12', '13']::jsonb[], run_id => :one_run);
SELECT DISTINCT outcome, count(*) FROM task_create_items('cpu', 'two', ARRAY['10', '11', '12']::jsonb[], run_id => :one_run) GROUP BY outcome;
SELECT DISTINCT outcome, count(*) FROM task_create_items('cpu', 'two', ARRAY['10', '11', '12', '99']::jsonb[], run_id => :one_run) GROUP BY outcome;
SELECT outcome, run_id AS keyed_run, task_id AS keyed FROM task_create_items('cpu', 'g', ARRAY['1']::jsonb[], key => 'order 7') \gset
SELECT outcome, run_id = :keyed_run AS same_run, task_id = :keyed AS same_task FROM task_create_items('cpu', 'g', ARRAY['1']::jsonb[], key => 'order 7');
SELECT outcome, run_id = :keyed_run AS same_run, task_id = :keyed AS same_task FROM task_create_items('cpu', 'g', ARRAY['2']::jsonb[], key => 'order 7');
-- The same name in a new run is a new group.
SELECT outcome, run_id = :keyed_run AS same_run FROM task_create_items('cpu', 'g', ARRAY['1']::jsonb[]);

-- A group that has dispatched its successor takes no more; its replay is answered.
SELECT run_id AS late_run, task_id AS late FROM task_create_items('strict', 'g', ARRAY['1']::jsonb[], successor => 'next', key => 'late') \gset
SELECT outcome FROM task_cancel(:late);
SELECT outcome, state FROM task_create_items('strict', 'g', ARRAY['1']::jsonb[], successor => 'next', key => 'late');
SELECT outcome, state FROM task_create_items('strict', 'g', ARRAY['1']::jsonb[], run_id => :late_run, successor => 'next');
\set VERBOSITY sqlstate
SELECT outcome FROM task_create_items('strict', 'g', ARRAY['1', '2']::jsonb[], run_id => :late_run, successor => 'next');
\set VERBOSITY verbose

-- A group of many: every item once, every end counted, one successor.
SELECT DISTINCT run_id AS wide FROM task_create_items('cpu', 'wide', (SELECT array_agg(to_jsonb(i) ORDER BY i) FROM generate_series(1, 300) i), max_parallel => 40, successor => 'sum', successor_queue => 'fold') \gset
SELECT state, count(*) FROM task_items(:wide, 'wide') GROUP BY state ORDER BY state;
DO $$
DECLARE ended int; most int;
BEGIN
    LOOP
        SELECT count(*) INTO most FROM baton.task_live JOIN baton.task USING (task_id) WHERE name = 'wide' AND state IN (2, 3);
        IF most > 40 THEN RAISE 'more than max_parallel: %', most; END IF;
        PERFORM f.outcome FROM task_acquire_lease('cpu', 'w', max_tasks => 17) l, task_finalize(l.task_id, l.lease_token, 'completed', l.payload) f WHERE l.name = 'wide';
        GET DIAGNOSTICS ended = ROW_COUNT;
        EXIT WHEN ended = 0 AND NOT EXISTS (SELECT FROM baton.task_live JOIN baton.task USING (task_id) WHERE name = 'wide');
    END LOOP;
END $$;
SELECT state, count(*), sum(result::int) FROM task_items(:wide, 'wide') GROUP BY state;
SELECT name, run_id = :wide AS of_run FROM task_acquire_lease('fold', 'w', max_tasks => 10);

-- Misuse.
SELECT * FROM task_create_items('cpu', 'g', '{}');
SELECT * FROM task_create_items('cpu', 'g', ARRAY['1', NULL]::jsonb[]);
SELECT * FROM task_create_items('cpu', 'g', ARRAY['1']::jsonb[], max_parallel => 0);
SELECT * FROM task_create_items('nowhere', 'g', ARRAY['1']::jsonb[]);
SELECT * FROM task_create_items('cpu', 'g', ARRAY['1']::jsonb[], successor => 's', successor_queue => 'nowhere');
SELECT count(*) FROM task_create_items('cpu', 'g', array_fill('1'::jsonb, ARRAY[100001]));

SELECT * FROM baton_check(true);
