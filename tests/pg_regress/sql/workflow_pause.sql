-- workflow_pause, workflow_resume and checkpoints: nothing is leased, dispatched, skipped or ended in a paused run.

SELECT queue_create('q', lease_ttl => '1 min', max_attempts => 5);
SELECT queue_create('r', lease_ttl => '1 min');
CREATE FUNCTION work(queue text, state text = 'completed', n int = 1) RETURNS TABLE (step text, item int, outcome text, dispatched int) LANGUAGE sql AS $$
    SELECT l.name, l.item_index, f.outcome, cardinality(f.dispatched)
    FROM task_acquire_lease(queue, 'w', max_tasks => n) l, task_finalize(l.task_id, l.lease_token, state, l.payload) f
$$;
CREATE FUNCTION end_item(run bigint, step text, item int, ended text = 'completed') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome FROM task_items(run, step, item - 1, 1) i JOIN baton.leases l USING (task_id), task_finalize(i.task_id, l.lease_token, ended) f
$$;
CREATE FUNCTION run(run bigint) RETURNS TABLE (state text, checkpoint text, checkpoint_detail jsonb, counts jsonb, ended boolean) LANGUAGE sql AS $$
    SELECT state, checkpoint, checkpoint_detail, counts, finalized_at IS NOT NULL FROM workflow_get(run)
$$;
CREATE FUNCTION steps(run bigint) RETURNS TABLE (step text, state text, total int, running int, completed int, failed int) LANGUAGE sql AS $$
    SELECT step, state, total, running, completed, failed FROM workflow_steps(run)
$$;

SELECT workflow_pause(999999999, 'here'), workflow_resume(999999999, 'here');

-- What runs finishes and is counted, no more.
SELECT workflow_define('w', '{"steps": [
    {"name": "a", "queue": "q", "with_items": "$.input[*]"},
    {"name": "b", "queue": "q", "needs": ["a"]},
    {"name": "c", "queue": "q", "needs": ["a"], "when": "failed"},
    {"name": "d", "queue": "r"}]}');
SELECT run_id AS run FROM workflow_start('w', '[0, 1, 2]') \gset
SELECT workflow_resume(:run, 'here');
SELECT item_index FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT workflow_pause(:run, 'here', '{"why": "to look"}');
SELECT workflow_pause(:run, 'here', '{"why": "to look"}'), workflow_pause(:run, 'there');
SELECT * FROM run(:run);
SELECT name FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
SELECT state, outcome FROM task_items(:run, 'a', 1, 1) i, LATERAL (SELECT outcome FROM task_acquire_lease_by_id(i.task_id, 'w')) a;
SELECT end_item(:run, 'a', 0);
SELECT * FROM run(:run);
SELECT * FROM baton_check(true);
SELECT workflow_resume(:run, 'there'), workflow_resume(:run, 'here');
SELECT workflow_resume(:run, 'here');
SELECT * FROM run(:run);
SELECT item_index FROM task_acquire_lease('q', 'w');
-- The last end of a step in a paused run: the step has ended, what follows has not begun.
SELECT workflow_pause(:run, 'again');
SELECT end_item(:run, 'a', 1), end_item(:run, 'a', 2);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT name FROM unnest(ARRAY['q', 'r', 'q', 'r']) q, task_acquire_lease(q, 'w');
SELECT outcome FROM task_reap();
SELECT * FROM steps(:run);
SELECT seq, kind, body FROM workflow_events(:run);
SELECT * FROM baton_check(true);
SELECT workflow_resume(:run, 'again');
SELECT * FROM steps(:run);
SELECT seq, kind, body FROM workflow_events(:run, 7);
SELECT * FROM work('q', n => 5);
-- All has ended while it was paused: it ends when it is resumed.
SELECT count(*) FROM task_acquire_lease('r', 'w');
SELECT workflow_pause(:run, 'last');
SELECT end_item(:run, 'd', 0);
SELECT * FROM run(:run);
SELECT workflow_resume(:run, 'last');
SELECT * FROM run(:run);
SELECT workflow_pause(:run, 'late'), workflow_resume(:run, 'last');
SELECT * FROM baton_check(true);

-- In line for a slot: slots go back, and are handed out again, in the old order.
SELECT run_id AS run FROM workflow_start(definition => '{"max_parallel": 3, "steps": [
    {"name": "a", "queue": "q", "with_items": "$.input[*]", "max_parallel": 2},
    {"name": "b", "queue": "q", "with_items": "$.input[*]"}]}', input => '[0, 1, 2]') \gset
SELECT name, item_index FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT name, item_index, state FROM task_list(run_id => :run) ORDER BY task_id;
SELECT workflow_pause(:run, 'here');
SELECT name, item_index, state FROM task_list(run_id => :run) ORDER BY task_id;
SELECT * FROM baton_check(true);
SELECT end_item(:run, 'a', 0);
SELECT name, item_index, state FROM task_list(run_id => :run) ORDER BY task_id;
SELECT workflow_resume(:run, 'here');
SELECT name, item_index, state FROM task_list(run_id => :run) ORDER BY task_id;
SELECT * FROM baton_check(true);
SELECT name, item_index FROM task_acquire_lease('q', 'w', max_tasks => 5);
SELECT end_item(:run, 'a', 1), end_item(:run, 'a', 2);
SELECT name, item_index FROM task_acquire_lease('q', 'w', max_tasks => 5);
SELECT * FROM baton_check(true);
SELECT end_item(:run, 'b', 0), end_item(:run, 'b', 1), end_item(:run, 'b', 2);
SELECT * FROM work('q', n => 5);
SELECT * FROM run(:run);

-- What gives up its lease in a paused run is blocked; what was scheduled is blocked when it is due.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input[*]"}]}', input => '[0, 1, 2, 3, 4, 5, 6]') \gset
CREATE FUNCTION items(run bigint) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(item_index || ' ' || state, ', ') FROM task_items(run, 'a') $$;
CREATE FUNCTION leased(run bigint, item int) RETURNS TABLE (task_id bigint, lease_token bigint) LANGUAGE sql AS $$
    SELECT l.task_id, l.lease_token FROM task_items(run, 'a', item - 1, 1) i JOIN baton.leases l USING (task_id)
$$;
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 5);
SELECT count(*) FROM task_acquire_lease('q', 'short', '100 ms');
-- 6 is ready; 5 will be lost; 4 is scheduled before the pause.
SELECT outcome FROM leased(:run, 4) l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '150 ms');
SELECT workflow_pause(:run, 'here');
SELECT outcome, state FROM leased(:run, 0) l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '0');
SELECT outcome, state FROM leased(:run, 1) l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '150 ms');
SELECT outcome FROM leased(:run, 2) l, task_release(l.task_id, l.lease_token);
SELECT outcome FROM leased(:run, 3) l, task_release(l.task_id, l.lease_token, '1 h');
SELECT items(:run);
SELECT pg_sleep(0.2);
SELECT outcome FROM task_reap(queue => 'q');
SELECT items(:run);
SELECT item_index FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT items(:run);
SELECT a.outcome, a.state FROM task_items(:run, 'a') i, task_acquire_lease_by_id(i.task_id, 'w') a ORDER BY i.item_index;
SELECT * FROM run(:run);
SELECT * FROM baton_check(true);
-- Cancelled in a paused run, at once.
SELECT c.outcome FROM task_items(:run, 'a', 5, 1) i, task_cancel(i.task_id) c;
SELECT workflow_resume(:run, 'here');
SELECT items(:run);
SELECT item_index, attempt, lost_leases FROM task_acquire_lease('q', 'w', max_tasks => 10) ORDER BY 1;
SELECT workflow_cancel(:run, running => 'force');
SELECT items(:run);
SELECT * FROM baton_check(true);

-- A successor that a worker dispatches in a paused run is blocked until it is resumed.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "q", "needs": ["a"]}]}') \gset
SELECT task_id AS a, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT workflow_pause(:run, 'here');
SELECT outcome FROM task_finalize(:a, :l, 'completed');
SELECT outcome, siblings_remaining, completed FROM task_dispatch_successor(:a, 'extra', 'r', '{"x": 1}');
SELECT outcome FROM task_dispatch_successor(:a, 'extra', 'r', '{"x": 1}');
SELECT name, state FROM task_list(run_id => :run) ORDER BY task_id;
SELECT * FROM steps(:run);
SELECT name FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
SELECT * FROM baton_check(true);
SELECT workflow_resume(:run, 'here');
SELECT * FROM work('r');
SELECT * FROM work('q');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);

-- A run without a definition is paused the same way, its built-in successor included.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'a', ARRAY['1', '2', '3']::jsonb[], max_parallel => 2, successor => 'sum', successor_queue => 'r') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT workflow_pause(:run, 'here', '"detail"');
SELECT * FROM run(:run);
SELECT end_item(:run, 'a', 0);
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT workflow_finalize(:run, 'completed');
SELECT workflow_resume(:run, 'here');
SELECT * FROM run(:run);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 5);
SELECT workflow_pause(:run, 'there');
SELECT end_item(:run, 'a', 1), end_item(:run, 'a', 2);
SELECT * FROM steps(:run);
SELECT count(*) FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
-- It takes no other group now.
\set VERBOSITY sqlstate
SELECT state FROM task_create_items('q', 'late', ARRAY['1']::jsonb[], run_id => :run);
\set VERBOSITY verbose
SELECT * FROM baton_check(true);
SELECT workflow_resume(:run, 'there');
SELECT * FROM steps(:run);
SELECT * FROM work('r');
SELECT * FROM work('q');
SELECT * FROM run(:run);
SELECT seq, kind, body FROM workflow_events(:run);
SELECT * FROM baton_check(true);

-- A step's checkpoint: the run pauses before it is dispatched, once. Several, also at the root; a step that is skipped has none.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [
    {"name": "root", "queue": "q", "checkpoint": "before root"},
    {"name": "other root", "queue": "q", "checkpoint": "before other"},
    {"name": "free", "queue": "r"},
    {"name": "next", "queue": "q", "needs": ["root", "free"], "checkpoint": "before next"},
    {"name": "unlikely", "queue": "q", "needs": ["root"], "when": "failed", "checkpoint": "before unlikely"},
    {"name": "off", "queue": "q", "needs": ["root"], "if": "$.input.x == 1", "checkpoint": "before off"},
    {"name": "nothing", "queue": "q", "needs": ["next"], "with_items": "$.input.x", "checkpoint": "before nothing"}]}') \gset
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT name FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
SELECT workflow_resume(:run, 'before other'), workflow_resume(:run, 'before root');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT name FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
SELECT workflow_resume(:run, 'before other');
SELECT * FROM run(:run);
SELECT * FROM work('q', n => 5);
SELECT * FROM steps(:run);
SELECT * FROM work('r');
SELECT * FROM run(:run);
SELECT name FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
-- The same checkpoint, by hand, is another pause.
SELECT workflow_resume(:run, 'before next');
SELECT workflow_pause(:run, 'before next');
SELECT name FROM task_acquire_lease('q', 'w');
SELECT workflow_resume(:run, 'before next');
SELECT * FROM work('q');
SELECT * FROM run(:run);
SELECT workflow_resume(:run, 'before nothing');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT kind, body FROM workflow_events(:run);
SELECT * FROM baton_check(true);

-- Failures while it is paused elsewhere: with pause it is paused again at on_error when it is resumed.
CREATE FUNCTION start(on_error text) RETURNS bigint LANGUAGE sql AS $$
    SELECT run_id FROM workflow_start(definition => jsonb_build_object('on_error', on_error, 'steps', jsonb '[
        {"name": "a", "queue": "q"}, {"name": "a2", "queue": "q"}, {"name": "idle", "queue": "r"},
        {"name": "alarm", "queue": "q", "needs": ["a"], "when": "failed"}, {"name": "fine", "queue": "q", "needs": ["a2"]}]'))
$$;
SELECT start('pause') AS run \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT workflow_pause(:run, 'here', '"mine"');
SELECT end_item(:run, 'a', 0, 'failed');
SELECT * FROM run(:run);
SELECT r.outcome FROM task_list(run_id => :run, name => 'a') l, task_redrive(l.task_id) r;
SELECT * FROM steps(:run);
SELECT workflow_resume(:run, 'here');
SELECT state, checkpoint, jsonb_path_query_array(checkpoint_detail, '$.failed[*].step') AS failed, counts FROM workflow_get(:run);
SELECT name FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
SELECT end_item(:run, 'a2', 0, 'failed');
SELECT state, checkpoint, jsonb_path_query_array(checkpoint_detail, '$.failed[*].step') AS failed, counts FROM workflow_get(:run);
SELECT r.outcome FROM task_list(run_id => :run, name => 'a2') l, task_redrive(l.task_id) r;
SELECT state, checkpoint, jsonb_path_query_array(checkpoint_detail, '$.failed[*].step') AS failed, counts FROM workflow_get(:run);
SELECT * FROM baton_check(true);
SELECT workflow_resume(:run, 'on_error');
SELECT * FROM steps(:run);
SELECT * FROM work('q', n => 3);
SELECT * FROM work('q', n => 3);
SELECT * FROM work('r', n => 3);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT kind, body FROM workflow_events(:run);
-- With fail: what has not started is called off, the handler runs.
SELECT start('fail') AS run \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT workflow_pause(:run, 'here', '"mine"');
SELECT end_item(:run, 'a', 0, 'failed');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT workflow_resume(:run, 'here');
SELECT name FROM unnest(ARRAY['r', 'q', 'r']) q, task_acquire_lease(q, 'w');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT end_item(:run, 'alarm', 0), end_item(:run, 'a2', 0);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT * FROM baton_check(true);
-- With continue it goes on.
SELECT start('continue') AS run \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT workflow_pause(:run, 'here', '"mine"');
SELECT end_item(:run, 'a', 0, 'failed');
SELECT end_item(:run, 'a2', 0);
SELECT * FROM run(:run);
SELECT workflow_resume(:run, 'here');
SELECT * FROM steps(:run);
SELECT * FROM work('q', n => 3);
SELECT * FROM work('r', n => 3);
SELECT * FROM run(:run);

-- Slot keys with a name: what the run's tasks were ready with goes to who waits elsewhere, at once; they get in line again when it is resumed.
SELECT slot_set('gpu', 2);
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input", "slot_keys": ["gpu"]}]}', input => '[0, 1, 2]') \gset
SELECT name, state FROM unnest(ARRAY['alone', 'alone too']) name, task_create('r', name => name, slot_keys => '{gpu}');
SELECT item_index FROM task_acquire_lease('q', 'w');
SELECT workflow_pause(:run, 'here');
SELECT item_index, state FROM task_items(:run, 'a');
SELECT name, state FROM task_list('r', '{ready,blocked}') ORDER BY task_id;
SELECT capacity, holders, waiters FROM baton.slot_usage WHERE slot_key = 'gpu';
SELECT * FROM baton_check(true);
SELECT end_item(:run, 'a', 0);
SELECT name, state FROM task_list('r', '{ready,blocked}') ORDER BY task_id;
SELECT workflow_resume(:run, 'here');
SELECT item_index, state FROM task_items(:run, 'a');
SELECT capacity, holders, waiters FROM baton.slot_usage WHERE slot_key = 'gpu';
SELECT name, f.outcome, cardinality(f.dispatched) AS dispatched FROM task_acquire_lease('r', 'w', max_tasks => 2) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT * FROM work('q', n => 5);
SELECT * FROM run(:run);
-- Work is undone in a paused run as well: a task that fails is compensated at once, the run hears of it when it is resumed, and is undone then.
SELECT queue_create('undo');
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input", "compensate": {"queue": "undo"}}, {"name": "b", "queue": "q", "needs": ["a"]}]}', input => '[0, 1]') \gset
SELECT r.outcome FROM task_acquire_lease('q', 'w', max_tasks => 2) l, task_register_compensation(l.task_id, l.lease_token, 'undo ' || l.item_index, 'undo') r;
SELECT end_item(:run, 'a', 0);
SELECT workflow_pause(:run, 'here');
SELECT f.outcome FROM task_items(:run, 'a', 0, 1) i JOIN baton.leases l USING (task_id), task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT * FROM run(:run);
SELECT name, f.outcome FROM task_acquire_lease('undo', 'w', max_tasks => 5) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT item_index, state FROM task_items(:run, 'a');
SELECT * FROM run(:run);
SELECT count(*) FROM task_acquire_lease('undo', 'w');
SELECT * FROM baton_check(true);
SELECT workflow_resume(:run, 'here');
SELECT * FROM run(:run);
SELECT name, f.outcome FROM task_acquire_lease('undo', 'w', max_tasks => 5) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT workflow_pause(:run, 'too late');
SELECT name, f.outcome FROM task_acquire_lease('undo', 'w', max_tasks => 5) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT * FROM run(:run);
SELECT step, item_index, name, state FROM workflow_compensations(:run);
SELECT * FROM baton_check(true);

-- Misuse.
SELECT workflow_pause(:run, 'on_error');
SELECT workflow_pause(:run, NULL);
SELECT workflow_pause(:run, '');
SELECT workflow_pause(:run, repeat('x', 256));
SELECT workflow_resume(:run, NULL);
SELECT workflow_pause(NULL, 'here');

SELECT * FROM baton_check(true);
