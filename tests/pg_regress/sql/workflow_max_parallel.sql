-- max_parallel of a step, of a run, and of both: never more ready or leased than that, and the next is ready in the call that ends one.

SELECT queue_create('q', lease_ttl => '1 min', max_attempts => 5);
SELECT queue_create('r', lease_ttl => '1 min', max_attempts => 5);
CREATE FUNCTION end_item(run bigint, step text, item int, ended text = 'completed') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome || ', ' || coalesce((SELECT string_agg(t.name || ' ' || t.item_index, ', ' ORDER BY t.name, t.item_index) FROM unnest(f.dispatched) d, task_get(d) t), 'nothing')
    FROM task_items(run, step, item - 1, 1) i JOIN baton.leases l USING (task_id), task_finalize(i.task_id, l.lease_token, ended) f
$$;
CREATE FUNCTION leased(run bigint, step text, item int) RETURNS TABLE (task_id bigint, lease_token bigint) LANGUAGE sql AS $$
    SELECT l.task_id, l.lease_token FROM task_items(run, step, item - 1, 1) i JOIN baton.leases l USING (task_id)
$$;
CREATE FUNCTION tasks(run bigint) RETURNS TABLE (name text, items text) LANGUAGE sql AS $$
    SELECT name, string_agg(item_index || ' ' || state, ', ' ORDER BY item_index) FROM task_list(run_id => run) GROUP BY name ORDER BY name
$$;
-- How many of a run are in line or leased, at most.
CREATE FUNCTION active(run bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM baton.step s JOIN baton.task_live l USING (step_id) WHERE s.run_id = run AND l.state IN (2, 3)
$$;

-- A step's.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "s", "queue": "q", "with_items": "$.input", "max_parallel": 2}, {"name": "next", "queue": "r", "needs": ["s"]}]}', input => '[0, 1, 2, 3, 4, 5]') \gset
SELECT * FROM tasks(:run);
SELECT item_index FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT end_item(:run, 's', 1);
SELECT * FROM tasks(:run);
-- A retry without delay keeps its place, one with a delay gives it to the next.
SELECT outcome, state FROM leased(:run, 's', 0) l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '0');
SELECT * FROM tasks(:run);
SELECT item_index, attempt FROM task_acquire_lease('q', 'w') ORDER BY 1;
SELECT item_index, attempt FROM task_acquire_lease('q', 'w') ORDER BY 1;
SELECT outcome, state FROM leased(:run, 's', 0) l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '100 ms');
SELECT * FROM tasks(:run);
SELECT pg_sleep(0.15);
SELECT item_index FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT * FROM tasks(:run);
SELECT * FROM baton_check(true);
-- Cancelled, forced, failed: the next follows at once. (on_error is fail: after a failure none does.)
SELECT c.outcome FROM task_items(:run, 's', 2, 1) i, task_cancel(i.task_id, force => true) c;
SELECT * FROM tasks(:run);
SELECT c.outcome FROM task_items(:run, 's', 4, 1) i, task_cancel(i.task_id) c;
SELECT * FROM tasks(:run);
SELECT end_item(:run, 's', 2, 'failed');
SELECT * FROM tasks(:run);
SELECT state, counts FROM workflow_get(:run);

-- As wide as its items, or wider: no bound. One at a time.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "wider", "queue": "q", "with_items": "$.input", "max_parallel": 4}, {"name": "as wide", "queue": "q", "with_items": "$.input", "max_parallel": 3},
    {"name": "one", "queue": "q", "with_items": "$.input", "max_parallel": 1}]}', input => '[0, 1, 2]') \gset
SELECT * FROM tasks(:run);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT end_item(:run, 'wider', 0), end_item(:run, 'one', 0);
SELECT * FROM tasks(:run);
SELECT workflow_cancel(:run, running => 'force');
SELECT * FROM baton_check(true);

-- A run's: over all its steps, whoever comes first.
SELECT run_id AS run FROM workflow_start(definition => '{"max_parallel": 2, "steps": [
    {"name": "a", "queue": "q", "with_items": "$.input"}, {"name": "b", "queue": "r"}, {"name": "c", "queue": "r", "needs": ["b"]}]}', input => '[0, 1, 2]') \gset
SELECT * FROM tasks(:run);
SELECT name, item_index FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w', max_tasks => 10);
SELECT end_item(:run, 'a', 0);
SELECT end_item(:run, 'a', 1);
SELECT * FROM tasks(:run);
SELECT name, item_index FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w', max_tasks => 10);
-- A step that is dispatched stands behind those in line, and has none before it now.
SELECT end_item(:run, 'b', 0);
SELECT * FROM tasks(:run);
SELECT * FROM baton_check(true);
SELECT name, item_index FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w', max_tasks => 10);
SELECT end_item(:run, 'a', 2), end_item(:run, 'c', 0);
SELECT state, counts FROM workflow_get(:run);
-- Two runs do not share it.
SELECT workflow_define('one', '{"max_parallel": 1, "steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "q"}]}');
SELECT run_id AS run1 FROM workflow_start('one') \gset
SELECT run_id AS run2 FROM workflow_start('one') \gset
SELECT run_id = :run1 AS first, name FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT end_item(:run2, 'a', 0);
SELECT run_id = :run1 AS first, name FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT workflow_cancel(:run1, running => 'force'), workflow_cancel(:run2, running => 'force');

-- Both.
SELECT run_id AS run FROM workflow_start(definition => '{"max_parallel": 3, "steps": [
    {"name": "a", "queue": "q", "with_items": "$.input", "max_parallel": 2}, {"name": "b", "queue": "q", "with_items": "$.input", "max_parallel": 2}]}', input => '[0, 1, 2, 3]') \gset
SELECT * FROM tasks(:run);
-- Who waits has no slot, neither of its step nor of the run: what one key has to spare is not kept from anybody.
CREATE FUNCTION slots(run bigint) RETURNS TABLE (name text, state text, tasks bigint, slots numeric) LANGUAGE sql AS $$
    SELECT l.name, l.state, count(*), sum((SELECT count(*) FROM baton.slot s WHERE s.holder = l.task_id)) FROM task_list(run_id => run) l GROUP BY 1, 2 ORDER BY 1, 2
$$;
SELECT * FROM slots(:run);
SELECT step, run_id = :run AS of_the_run, capacity, holders, waiters, draining FROM baton.slot_usage WHERE run_id = :run ORDER BY step;
SELECT name, item_index FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT end_item(:run, 'a', 0);
SELECT * FROM tasks(:run);
SELECT * FROM slots(:run);
SELECT step, capacity, holders, waiters FROM baton.slot_usage WHERE run_id = :run ORDER BY step;
SELECT * FROM baton_check(true);
SELECT outcome, state FROM leased(:run, 'a', 1) l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '1 h');
SELECT * FROM tasks(:run);
SELECT * FROM slots(:run);
SELECT * FROM baton_check(true);
SELECT workflow_cancel(:run, running => 'force');
SELECT * FROM tasks(:run);
SELECT * FROM baton_check(true);
-- By priority, in whichever line: a slot of the run goes to the step that comes first, not to the one whose other slot is free as well.
SELECT run_id AS run FROM workflow_start(definition => '{"max_parallel": 2, "steps": [
    {"name": "a", "queue": "q", "with_items": "$.input", "max_parallel": 1}, {"name": "b", "queue": "q", "with_items": "$.input", "priority": 5}]}', input => '[0, 1, 2]') \gset
SELECT * FROM tasks(:run);
SELECT name, item_index FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT end_item(:run, 'a', 0);
SELECT end_item(:run, 'b', 0);
SELECT * FROM tasks(:run);
SELECT * FROM baton_check(true);
SELECT workflow_cancel(:run, running => 'force');
-- To the end, in any order, by two workers: never more than 2 of a step and 3 of the run.
SELECT run_id AS run FROM workflow_start(definition => '{"max_parallel": 3, "on_error": "continue", "steps": [
    {"name": "a", "queue": "q", "with_items": "$.input", "max_parallel": 2}, {"name": "b", "queue": "r", "with_items": "$.input", "max_parallel": 2}]}', input => (SELECT jsonb_agg(i) FROM generate_series(1, 30) i)) \gset
CREATE FUNCTION drain(run bigint, OUT most bigint, OUT most_of_step bigint) LANGUAGE plpgsql AS $$
DECLARE of_step bigint;
BEGIN
    most := 0; most_of_step := 0;
    FOR round IN 1..1000 LOOP
        most := greatest(most, active(run));
        SELECT max(n) INTO of_step FROM (SELECT count(*) AS n FROM baton.task_live l WHERE l.state IN (2, 3) GROUP BY l.step_id) s;
        most_of_step := greatest(most_of_step, of_step);
        -- Of five one is tried again until its attempts are used up, one is given back in the first rounds, one fails; one is kept for a while.
        PERFORM CASE l.item_index % 5
                WHEN 0 THEN (SELECT f.outcome FROM task_fail_attempt(l.task_id, l.lease_token, retry_after => '0') f)
                WHEN 1 THEN CASE WHEN round < 40 THEN (SELECT f.outcome FROM task_release(l.task_id, l.lease_token, '1 ms') f)
                                 ELSE (SELECT f.outcome FROM task_finalize(l.task_id, l.lease_token, 'completed') f) END
                WHEN 2 THEN (SELECT f.outcome FROM task_finalize(l.task_id, l.lease_token, 'failed') f)
                WHEN 3 THEN (SELECT f.outcome FROM task_finalize(l.task_id, l.lease_token, 'completed', l.payload) f) END
        FROM task_acquire_lease((ARRAY['q', 'r'])[round % 2 + 1], 'w', max_tasks => 2) l;
        IF round % 3 = 0 THEN
            PERFORM f.outcome FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') f;
        END IF;
        EXIT WHEN (SELECT finalized_at IS NOT NULL FROM workflow_get(run));
    END LOOP;
END $$;
SELECT * FROM drain(:run);
SELECT state, counts FROM workflow_get(:run);
SELECT step, state, total, completed, failed FROM workflow_steps(:run);
SELECT * FROM baton_check(true);

-- After a resume, too, a slot of the run goes by priority first: b's items, which are of a higher one, keep what they had.
SELECT run_id AS run FROM workflow_start(definition => '{"max_parallel": 2, "steps": [
    {"name": "a", "queue": "q", "with_items": "$.input", "max_parallel": 1},
    {"name": "b", "queue": "q", "with_items": "$.input", "priority": 5}]}', input => '[0, 1, 2]') \gset
SELECT f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 10) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT name, item_index, state FROM task_list(run_id => :run) ORDER BY task_id;
SELECT workflow_pause(:run, 'here'), workflow_resume(:run, 'here');
SELECT name, item_index, state FROM task_list(run_id => :run) ORDER BY task_id;
SELECT * FROM baton_check(true);

-- A task that has left its slot twice in one call: put off when its time was up, and then called off with its run.
SELECT queue_create('timed', max_runtime => '200 ms', backoff_base => '1 h', max_attempts => 2);
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "timed", "with_items": "$.input", "max_parallel": 2}]}', input => '[1, 2, 3]') \gset
SELECT f.outcome FROM task_acquire_lease('timed', 'w') l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '0') f;
SELECT item_index, attempt FROM task_acquire_lease('timed', 'w', max_tasks => 2);
SELECT pg_sleep(0.3);
SELECT count(*) FROM task_acquire_lease('timed', 'w');
SELECT item_index, state, reason FROM task_items(:run, 'a') i, LATERAL (SELECT reason FROM task_get(i.task_id)) t;
SELECT state, counts FROM workflow_get(:run);
SELECT count(*) FROM baton.slot WHERE holder IS NOT NULL;
SELECT * FROM baton_check(true);
