-- workflows: steps of more items than become tasks at a time.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT queue_create('r', lease_ttl => '1 min');
CREATE FUNCTION end_item(run bigint, step text, item int, ended text = 'completed') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome || ', ' || coalesce((SELECT string_agg(t.name || ' ' || t.item_index, ', ' ORDER BY t.name, t.item_index) FROM unnest(f.dispatched) d, task_get(d) t), 'nothing')
    FROM task_items(run, step, item - 1, 1) i JOIN baton.leases l USING (task_id), task_finalize(i.task_id, l.lease_token, ended) f
$$;

-- 2,500 items, three at a time: most of them wait as payloads, not as tasks.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "wide", "queue": "q", "with_items": "$.input", "max_parallel": 3}, {"name": "sum", "queue": "r", "needs": ["wide"], "payload": ["$.steps.wide.result.size()", "$.steps.wide.result[0]", "$.steps.wide.result[last]"]}]}',
    input => (SELECT jsonb_agg(i) FROM generate_series(0, 2499) i)) \gset
SELECT state, counts FROM workflow_get(:run);
SELECT step, state, total, running FROM workflow_steps(:run);
SELECT count(*), count(*) FILTER (WHERE state = 'ready') AS ready, max(item_index) FROM task_items(:run, 'wide', max_items => 100000);
SELECT tasks, running, completed, steps, steps_ended FROM baton.workflow_progress WHERE run_id = :run;
SELECT * FROM baton_check(true);
SELECT item_index FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT end_item(:run, 'wide', 0), end_item(:run, 'wide', 1), end_item(:run, 'wide', 2);
-- Ends n items, as they come; what was the most that was ready or leased, and whether they came in order.
CREATE FUNCTION do_items(run bigint, n int, batch int, OUT done int, OUT most bigint, OUT in_order boolean) LANGUAGE plpgsql AS $$
DECLARE leased record; last int := -1; active bigint;
BEGIN
    done := 0; most := 0; in_order := true;
    WHILE done < n LOOP
        SELECT count(*) INTO active FROM baton.step s JOIN baton.task_live l USING (step_id) WHERE s.run_id = run AND l.state IN (2, 3);
        most := greatest(most, active);
        SELECT array_agg(task_id) AS ids, array_agg(lease_token) AS tokens, array_agg(payload) AS results, array_agg(item_index) AS items, count(*)::int AS tasks
        INTO leased FROM task_acquire_lease('q', 'w', max_tasks => least(batch, n - done));
        EXIT WHEN leased.tasks = 0;
        PERFORM f.outcome FROM task_finalize_many(leased.ids, leased.tokens, array_fill('completed'::text, ARRAY[leased.tasks]), leased.results) f;
        in_order := in_order AND leased.items = ARRAY(SELECT i FROM generate_series(leased.items[1], leased.items[leased.tasks]) i) AND leased.items[1] > last;
        last := leased.items[leased.tasks];
        done := done + leased.tasks;
    END LOOP;
END $$;
SELECT * FROM do_items(:run, 996, 10);
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM baton_check(true);
SELECT * FROM do_items(:run, 600, 2);
SELECT state, counts FROM workflow_get(:run);
SELECT count(*), max(item_index) FROM task_items(:run, 'wide', max_items => 100000);
SELECT * FROM baton_check(true);
SELECT * FROM do_items(:run, 900, 10);
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM do_items(:run, 10, 10);
SELECT * FROM baton_check(true);
SELECT step, state, total, running, completed, failed, jsonb_array_length(CASE WHEN step = 'wide' THEN result END) AS results FROM workflow_steps(:run);
SELECT name, payload FROM task_acquire_lease('r', 'w');
SELECT end_item(:run, 'sum', 0);
SELECT state, counts FROM workflow_get(:run);
SELECT count(*), count(DISTINCT item_index), min(item_index), max(item_index), bool_and(state = 'completed' AND (result IS NULL OR result = to_jsonb(item_index))) AS right FROM task_items(:run, 'wide', max_items => 100000);

-- 2,500 items without a bound: who finds the line empty makes the next.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "wide", "queue": "q", "with_items": "$.input", "payload": {"n": "$.item", "of": "$.input.size()"}}]}',
    input => (SELECT jsonb_agg(i) FROM generate_series(0, 2499) i)) \gset
SELECT state, counts FROM workflow_get(:run);
SELECT step, state, total, running FROM workflow_steps(:run);
SELECT tasks, running, completed, steps, steps_ended FROM baton.workflow_progress WHERE run_id = :run;
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 900);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 900);
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM baton_check(true);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 900);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 900);
SELECT state, counts FROM workflow_get(:run);
SELECT count(*), count(DISTINCT item_index), min(item_index), max(item_index), bool_and((g.payload -> 'n')::int = i.item_index AND (g.payload -> 'of')::int = 2500) AS right FROM task_items(:run, 'wide', max_items => 100000) i, LATERAL (SELECT payload FROM task_get(i.task_id)) g;
SELECT outcome, count(*) FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') GROUP BY outcome;
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM baton_check(true);
-- Paused on the way: nothing follows before it is resumed.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "wide", "queue": "q", "with_items": "$.input"}]}', input => (SELECT jsonb_agg(i) FROM generate_series(0, 2499) i)) \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 990);
SELECT workflow_pause(:run, 'here');
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 1000);
SELECT state, counts FROM workflow_get(:run);
SELECT outcome, count(*) FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') GROUP BY outcome;
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 1000);
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM baton_check(true);
SELECT workflow_resume(:run, 'here');
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 1000);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 1000);
SELECT outcome, count(*) FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') GROUP BY outcome;
SELECT state, counts FROM workflow_get(:run);

-- A bound wider than what becomes tasks at a time; two wide steps under a run's bound.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "wide", "queue": "q", "with_items": "$.input", "max_parallel": 1500}]}', input => (SELECT jsonb_agg(i) FROM generate_series(0, 2499) i)) \gset
SELECT state, counts FROM workflow_get(:run);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 1000);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 1000);
SELECT outcome, count(*) FROM (SELECT * FROM baton.leases ORDER BY task_id LIMIT 700) l, task_finalize(l.task_id, l.lease_token, 'completed') GROUP BY outcome;
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM baton_check(true);
SELECT workflow_cancel(:run, running => 'force');
SELECT run_id AS run FROM workflow_start(definition => '{"max_parallel": 400, "steps": [{"name": "a", "queue": "q", "with_items": "$.input"}, {"name": "b", "queue": "q", "with_items": "$.input", "max_parallel": 300}]}', input => (SELECT jsonb_agg(i) FROM generate_series(0, 1099) i)) \gset
SELECT state, counts FROM workflow_get(:run);
SELECT done, most FROM do_items(:run, 1500, 1000);
SELECT * FROM baton_check(true);
SELECT done, most <= 400 AS bounded FROM do_items(:run, 10000, 1000);
SELECT state, counts FROM workflow_get(:run);
SELECT step, state, total, completed FROM workflow_steps(:run);

SELECT * FROM baton_check(true);
