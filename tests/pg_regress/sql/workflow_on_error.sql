-- workflows, on_error: what becomes of a run when one of its tasks, or a step, fails.

SELECT queue_create('q', lease_ttl => '1 min', max_attempts => 2);
SELECT queue_create('r', lease_ttl => '1 min', max_lost_leases => 1);
-- Leases up to n tasks and ends them.
CREATE FUNCTION work(queue text, state text = 'completed', n int = 1) RETURNS TABLE (step text, item int, outcome text, dispatched int) LANGUAGE sql AS $$
    SELECT l.name, l.item_index, f.outcome, cardinality(f.dispatched)
    FROM task_acquire_lease(queue, 'w', max_tasks => n) l, task_finalize(l.task_id, l.lease_token, state, l.payload, '{"why": "it broke"}') f
$$;
-- Ends an item that is leased.
CREATE FUNCTION end_item(run bigint, step text, item int, ended text = 'completed') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome FROM task_items(run, step, item - 1, 1) i JOIN baton.leases l USING (task_id), task_finalize(i.task_id, l.lease_token, ended, to_jsonb(item)) f
$$;
CREATE FUNCTION steps(run bigint) RETURNS TABLE (step text, state text, total int, running int, completed int, failed int, result jsonb) LANGUAGE sql AS $$
    SELECT step, state, total, running, completed, failed, nullif(result, 'null') FROM workflow_steps(run)
$$;
-- The detail of on_error without ids.
CREATE FUNCTION run(run bigint) RETURNS TABLE (state text, checkpoint text, failed text, counts jsonb, ended boolean) LANGUAGE sql AS $$
    SELECT state, checkpoint, (SELECT string_agg(concat_ws(' ', f ->> 'step', f ->> 'item_index', t.state), ', ' ORDER BY ordinal)
                               FROM jsonb_array_elements(checkpoint_detail -> 'failed') WITH ORDINALITY AS e (f, ordinal)
                               LEFT JOIN LATERAL task_get(coalesce((f ->> 'task_id')::bigint, 0)) t ON true),
           counts, finalized_at IS NOT NULL FROM workflow_get(run)
$$;

-- fail, which is the default: what has not started is called off, what runs goes on, handlers run.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [
    {"name": "bad", "queue": "q"},
    {"name": "slow", "queue": "r"},
    {"name": "idle", "queue": "r", "priority": -1},
    {"name": "later", "queue": "q", "needs": ["slow"]},
    {"name": "handler", "queue": "q", "needs": ["bad"], "when": "failed", "payload": {"error": "$.steps.bad.error", "result": "$.steps.bad.result", "state": "$.steps.bad.state"}},
    {"name": "thanks", "queue": "q", "needs": ["handler"]},
    {"name": "never", "queue": "q", "needs": ["bad"]},
    {"name": "after never", "queue": "q", "needs": ["never"]},
    {"name": "both", "queue": "q", "needs": ["bad", "slow"]},
    {"name": "slow failed", "queue": "q", "needs": ["slow"], "when": "failed"},
    {"name": "later failed", "queue": "q", "needs": ["later"], "when": "failed"},
    {"name": "cleanup", "queue": "q", "needs": ["bad", "slow", "later", "never"], "when": "done"}]}') \gset
SELECT task_id AS slow, lease_token AS slow_l, name FROM task_acquire_lease('r', 'w') \gset
SELECT * FROM work('q', 'failed');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT name, state, reason FROM task_list(run_id => :run, name => 'idle');
SELECT name, payload FROM task_acquire_lease('q', 'w') \gset
SELECT :'name' AS name, :'payload' AS payload;
SELECT task_id AS h, lease_token AS h_l FROM baton.leases WHERE name = 'handler' \gset
-- It is on its way to its end: neither paused, nor redriven.
SELECT workflow_pause(:run, 'here'), workflow_resume(:run, 'here');
SELECT r.outcome FROM task_list(run_id => :run, states => '{failed}') l, task_redrive(l.task_id) r;
SELECT outcome FROM task_finalize(:h, :h_l, 'completed');
SELECT step, state FROM workflow_steps(:run) WHERE step = 'thanks';
-- The end of what ran: its handler is skipped, the cleanup runs.
SELECT outcome, cardinality(dispatched) AS dispatched FROM task_finalize(:slow, :slow_l, 'completed', '"slow"');
SELECT * FROM work('q');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT seq, kind, body FROM workflow_events(:run);
SELECT count(*) AS nothing_left FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
SELECT * FROM baton_check(true);

-- With items, also such as are no tasks yet: those that run go on, and the step ends when they have ended.
SELECT run_id AS run FROM workflow_start(input => (SELECT jsonb_build_object('n', jsonb_agg(i)) FROM generate_series(0, 2499) i), definition => '{"steps": [
    {"name": "bounded", "queue": "r", "with_items": "$.input.n", "max_parallel": 2},
    {"name": "wide", "queue": "r", "with_items": "$.input.n", "priority": -1},
    {"name": "bad", "queue": "q"},
    {"name": "sum", "queue": "q", "needs": ["bounded", "wide"]},
    {"name": "alarm", "queue": "q", "needs": ["bounded"], "when": "failed"},
    {"name": "in any case", "queue": "q", "needs": ["bounded", "wide"], "when": "done", "payload": ["$.steps.bounded.state", "$.steps.wide.state", "$.steps.wide.error"]}]}') \gset
SELECT l.name, l.item_index FROM task_acquire_lease('r', 'w', max_tasks => 3) l;
SELECT * FROM run(:run);
SELECT * FROM work('q', 'failed');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT count(*) FROM task_acquire_lease('r', 'w');
SELECT end_item(:run, 'bounded', 0), end_item(:run, 'wide', 0);
SELECT count(*) FROM task_acquire_lease('q', 'w');
-- A retry of one that runs would be a new start: it is not made.
SELECT f.outcome FROM task_items(:run, 'bounded', 0, 1) i JOIN baton.leases l USING (task_id), task_fail_attempt(i.task_id, l.lease_token, retry_after => '0') f;
SELECT count(*) FROM task_acquire_lease('r', 'w');
SELECT name, payload FROM task_acquire_lease('q', 'w');
SELECT end_item(:run, 'in any case', 0);
SELECT * FROM run(:run);
SELECT step, state, total, running, completed, failed FROM workflow_steps(:run);
SELECT item_index, state FROM task_items(:run, 'bounded', max_items => 3);
SELECT * FROM baton_check(true);

-- An item fails: its siblings that have not started are called off.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [
    {"name": "s", "queue": "q", "with_items": "$.input[*]"},
    {"name": "alarm", "queue": "r", "needs": ["s"], "when": "failed", "payload": "$.steps.s.result"}]}', input => '[10, 11, 12, 13]') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT end_item(:run, 's', 0, 'failed');
SELECT item_index, state FROM task_items(:run, 's');
SELECT * FROM run(:run);
SELECT end_item(:run, 's', 1);
SELECT name, payload FROM task_acquire_lease('r', 'w');
SELECT end_item(:run, 'alarm', 0);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);

-- All that ends a task badly is a failure: the last attempt, the last lost lease, quarantine. A cancelled task is none.
CREATE FUNCTION start(on_error text, queue text) RETURNS bigint LANGUAGE sql AS $$
    SELECT run_id FROM workflow_start(definition => jsonb_build_object('on_error', on_error, 'steps', jsonb_build_array(
        jsonb_build_object('name', 'a', 'queue', queue, 'max_attempts', 1), jsonb_build_object('name', 'b', 'queue', 'default'))))
$$;
SELECT start('fail', 'q') AS run \gset
SELECT f.outcome, f.state FROM task_acquire_lease('q', 'w') l, task_fail_attempt(l.task_id, l.lease_token) f;
SELECT * FROM run(:run);
SELECT start('fail', 'r') AS run \gset
SELECT count(*) FROM task_acquire_lease('r', 'w', ttl => '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap(queue => 'r');
SELECT * FROM run(:run);
SELECT start('fail', 'q') AS run \gset
SELECT * FROM work('q', 'quarantined');
SELECT * FROM run(:run);
SELECT start('fail', 'q') AS run \gset
SELECT c.outcome FROM task_items(:run, 'a') i, task_cancel(i.task_id) c;
SELECT * FROM run(:run);
SELECT * FROM work('default');
SELECT * FROM run(:run);
SELECT start('pause', 'q') AS run \gset
SELECT * FROM work('q', 'quarantined');
SELECT * FROM run(:run);
SELECT workflow_cancel(:run);
SELECT start('pause', 'r') AS run \gset
SELECT count(*) FROM task_acquire_lease('r', 'w', ttl => '100 ms');
SELECT pg_sleep(0.12);
-- The acquire that finds it overdue grants nothing else in the run.
SELECT name FROM task_acquire_lease('r', 'w');
SELECT * FROM run(:run);
SELECT name FROM task_acquire_lease('default', 'w');
SELECT workflow_cancel(:run);
SELECT * FROM baton_check(true);

-- pause: R5. One of three items fails, the others are completed, consequences wait.
SELECT workflow_define('etl', '{"on_error": "pause", "steps": [
    {"name": "fetch", "queue": "q"},
    {"name": "items", "queue": "r", "needs": ["fetch"], "with_items": "$.steps.fetch.result.ids[*]", "payload": {"id": "$.item"}},
    {"name": "validate", "queue": "q", "needs": ["items"], "payload": "$.steps.items.result"},
    {"name": "alert", "queue": "q", "needs": ["items"], "when": "failed"},
    {"name": "log", "queue": "default"}]}');
SELECT run_id AS run FROM workflow_start('etl') \gset
SELECT f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed', '{"ids": ["x", "y", "z"]}') f;
SELECT l.item_index, l.payload FROM task_acquire_lease('r', 'w', max_tasks => 3) l;
SELECT end_item(:run, 'items', 1, 'failed');
SELECT * FROM run(:run);
SELECT jsonb_pretty(jsonb_set(checkpoint_detail, '{failed,0,task_id}', to_jsonb(task_id = (checkpoint_detail #>> '{failed,0,task_id}')::bigint))) AS checkpoint_detail FROM workflow_get(:run), task_items(:run, 'items', 0, 1);
SELECT name FROM unnest(ARRAY['q', 'r', 'default']) q, task_acquire_lease(q, 'w');
SELECT end_item(:run, 'items', 0), end_item(:run, 'items', 2);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT seq, kind, body FROM workflow_events(:run);
SELECT name FROM unnest(ARRAY['q', 'r', 'default']) q, task_acquire_lease(q, 'w');
SELECT * FROM baton_check(true);
-- Redriven: the new one takes the old one's place; nothing moves before the run is resumed.
SELECT task_id AS bad FROM task_items(:run, 'items', 0, 1) \gset
SELECT outcome, task_id AS again FROM task_redrive(:bad) \gset
SELECT :'outcome' AS outcome;
SELECT outcome, task_id = :again AS same FROM task_redrive(:bad);
SELECT r.outcome FROM task_items(:run, 'items', -1, 1) i, task_redrive(i.task_id) r;
SELECT r.outcome FROM task_redrive(:again) r;
SELECT state, attempt, key, item_index, payload, redrive_of = :bad AS of_old, run_id = :run AS of_run FROM task_get(:again);
SELECT state, reason, error, run_id = :run AS of_run, item_index FROM task_get(:bad);
SELECT item_index, state FROM task_items(:run, 'items');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT name FROM unnest(ARRAY['q', 'r', 'default']) q, task_acquire_lease(q, 'w');
SELECT outcome, state FROM task_acquire_lease_by_id(:again, 'w');
SELECT * FROM baton_check(true);
SELECT workflow_resume(:run, 'items'), workflow_resume(:run, 'on_error');
SELECT workflow_resume(:run, 'on_error');
SELECT * FROM run(:run);
SELECT * FROM work('r');
SELECT * FROM steps(:run);
SELECT name, payload FROM task_acquire_lease('q', 'w');
SELECT end_item(:run, 'validate', 0);
SELECT * FROM work('default');
SELECT * FROM run(:run);
SELECT result FROM workflow_get(:run);
SELECT seq, kind, body FROM workflow_events(:run, 6);
SELECT outcome FROM task_redrive(:again);
SELECT outcome, task_id = :again AS same FROM task_redrive(:bad);
SELECT * FROM baton_check(true);

-- Resumed without redrive it goes on as continue, from then on; further failures are added while it is paused.
SELECT run_id AS run FROM workflow_start('etl') \gset
SELECT f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed', '{"ids": [1, 2, 3, 4]}') f;
SELECT l.item_index, l.payload FROM task_acquire_lease('r', 'w', max_tasks => 3) l;
SELECT end_item(:run, 'items', 1, 'failed');
SELECT * FROM run(:run);
SELECT end_item(:run, 'items', 0, 'failed');
SELECT * FROM run(:run);
SELECT end_item(:run, 'items', 2);
SELECT task_id AS bad FROM task_items(:run, 'items', 0, 1) \gset
SELECT outcome FROM task_redrive(:bad);
SELECT * FROM run(:run);
SELECT workflow_resume(:run, 'on_error');
SELECT * FROM run(:run);
SELECT * FROM work('r', 'failed', 5);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT * FROM work('q', 'failed');
SELECT * FROM work('default');
SELECT * FROM run(:run);
SELECT r.outcome FROM task_list(run_id => :run, states => '{failed}') l, task_redrive(l.task_id) r WHERE name = 'alert';
SELECT * FROM steps(:run);
SELECT * FROM baton_check(true);

-- A redriven task fails again: that is a failure like any other, under continue by now.
SELECT run_id AS run FROM workflow_start(definition => '{"on_error": "pause", "steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "q", "needs": ["a"], "when": "failed"}]}') \gset
SELECT * FROM work('q', 'failed');
SELECT * FROM steps(:run);
SELECT r.outcome FROM task_list(run_id => :run) l, task_redrive(l.task_id) r;
SELECT * FROM steps(:run);
SELECT * FROM run(:run);
SELECT workflow_resume(:run, 'on_error');
SELECT * FROM work('q', 'failed');
SELECT * FROM run(:run);
SELECT * FROM work('q');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
-- A step that failed by itself stays among the failures when a task is redriven.
SELECT run_id AS run FROM workflow_start(definition => '{"on_error": "pause", "steps": [{"name": "a", "queue": "q"}, {"name": "first", "queue": "r"}, {"name": "broken", "queue": "r", "needs": ["first"], "with_items": "strict $.input.nothing"}]}') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT * FROM work('r');
SELECT * FROM run(:run);
SELECT end_item(:run, 'a', 0, 'failed');
SELECT * FROM run(:run);
SELECT r.outcome FROM task_list(run_id => :run, name => 'a') l, task_redrive(l.task_id) r;
SELECT * FROM run(:run);
SELECT workflow_resume(:run, 'on_error');
SELECT * FROM work('q');
SELECT * FROM run(:run);
SELECT * FROM baton_check(true);

-- continue: the step's end decides, and other steps go on.
SELECT run_id AS run FROM workflow_start(definition => '{"on_error": "continue", "steps": [
    {"name": "s", "queue": "q", "with_items": "$.input[*]", "max_parallel": 2},
    {"name": "other", "queue": "r"},
    {"name": "ok", "queue": "q", "needs": ["s"]},
    {"name": "alarm", "queue": "q", "needs": ["s"], "when": "failed"},
    {"name": "done", "queue": "q", "needs": ["s", "other"], "when": "done", "payload": "$.steps.s"},
    {"name": "after other", "queue": "r", "needs": ["other"]}]}', input => '[10, 11, 12]') \gset
SELECT * FROM work('q', 'failed');
SELECT * FROM run(:run);
SELECT * FROM work('q', n => 1);
SELECT * FROM work('q', n => 1);
SELECT * FROM steps(:run);
SELECT * FROM work('r');
SELECT * FROM work('r');
SELECT name, payload FROM task_acquire_lease('q', 'w', max_tasks => 5);
SELECT end_item(:run, 'alarm', 0), end_item(:run, 'done', 0);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT * FROM baton_check(true);

-- A step fails by itself: the same three ways.
CREATE FUNCTION broken(on_error text) RETURNS bigint LANGUAGE sql AS $$
    SELECT run_id FROM workflow_start(definition => jsonb_build_object('on_error', on_error, 'steps', jsonb '[
        {"name": "first", "queue": "q"},
        {"name": "broken", "queue": "q", "needs": ["first"], "payload": "$.steps.first.result.x.double()"},
        {"name": "idle", "queue": "r"},
        {"name": "alarm", "queue": "q", "needs": ["broken"], "when": "failed", "payload": "$.steps.broken.error.message"},
        {"name": "fine", "queue": "q", "needs": ["broken"]}]'))
$$;
SELECT broken('fail') AS run \gset
SELECT f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed', '{"x": true}') f;
SELECT name FROM task_acquire_lease('r', 'w');
SELECT name, payload FROM task_acquire_lease('q', 'w');
SELECT name FROM task_acquire_lease('r', 'w');
SELECT end_item(:run, 'alarm', 0);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT broken('pause') AS run \gset
SELECT f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed', '{"x": true}') f;
SELECT * FROM run(:run);
SELECT checkpoint_detail FROM workflow_get(:run);
SELECT * FROM steps(:run);
SELECT name FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
SELECT workflow_resume(:run, 'on_error');
SELECT * FROM work('q');
SELECT * FROM work('r');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT broken('continue') AS run \gset
SELECT f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed', '{"x": true}') f;
SELECT * FROM run(:run);
SELECT * FROM work('r');
SELECT * FROM work('q');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
-- At the start already; nothing of the run is ever leased.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "idle", "queue": "r"}, {"name": "broken", "queue": "q", "with_items": "strict $.input.nothing"}]}') \gset
SELECT name FROM unnest(ARRAY['q', 'r', 'r', 'q']) q, task_acquire_lease(q, 'w');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);

SELECT * FROM baton_check(true);
