-- workflow_cancel: what has not started ends at once, what runs is asked, left or forced, and nothing is dispatched any more.

SELECT queue_create('ends');
SELECT queue_create('q', lease_ttl => '1 min', max_attempts => 5, on_final_queue => 'ends');
SELECT queue_create('r', lease_ttl => '1 min');
CREATE FUNCTION end_item(run bigint, step text, item int, ended text = 'completed') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome FROM task_items(run, step, item - 1, 1) i JOIN baton.leases l USING (task_id), task_finalize(i.task_id, l.lease_token, ended) f
$$;
CREATE FUNCTION leased(run bigint, step text, item int) RETURNS TABLE (task_id bigint, lease_token bigint) LANGUAGE sql AS $$
    SELECT l.task_id, l.lease_token FROM task_items(run, step, item - 1, 1) i JOIN baton.leases l USING (task_id)
$$;
CREATE FUNCTION run(run bigint) RETURNS TABLE (state text, checkpoint text, counts jsonb, ended boolean) LANGUAGE sql AS $$
    SELECT state, checkpoint, counts, finalized_at IS NOT NULL FROM workflow_get(run)
$$;
CREATE FUNCTION steps(run bigint) RETURNS TABLE (step text, state text, total int, running int, completed int, failed int) LANGUAGE sql AS $$
    SELECT step, state, total, running, completed, failed FROM workflow_steps(run)
$$;
-- The ends of q's tasks that were told since it was last asked.
CREATE FUNCTION told() RETURNS TABLE (name text, item_index text, state text, reason text) LANGUAGE sql AS $$
    SELECT l.payload ->> 'name', l.payload ->> 'item_index', l.payload ->> 'state', l.payload ->> 'reason'
    FROM task_acquire_lease('ends', 'teller', max_tasks => 1000) l, task_finalize(l.task_id, l.lease_token, 'completed') f
    WHERE f.outcome = 'finalized' ORDER BY (l.payload ->> 'task_id')::bigint
$$;
SELECT workflow_define('w', '{"on_error": "pause", "steps": [
    {"name": "a", "queue": "q", "with_items": "$.input[*]", "max_parallel": 3},
    {"name": "b", "queue": "q", "needs": ["a"]},
    {"name": "c", "queue": "q", "needs": ["a"], "when": "done"},
    {"name": "d", "queue": "q", "needs": ["a"], "when": "failed"},
    {"name": "e", "queue": "r"}]}');

SELECT * FROM workflow_cancel(999999999);

-- Nothing runs: the run is cancelled at once.
SELECT run_id AS run FROM workflow_start('w', '[0, 1, 2, 3]') \gset
SELECT * FROM workflow_cancel(:run, 'not wanted');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT name, item_index, state, reason FROM task_list(run_id => :run) ORDER BY task_id;
SELECT seq, kind, body - 'role' AS body, body ->> 'role' = current_user AS by_me FROM workflow_events(:run);
SELECT * FROM told();
SELECT count(*) FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
SELECT * FROM workflow_cancel(:run, 'not wanted');
SELECT workflow_pause(:run, 'here'), workflow_resume(:run, 'here');
SELECT r.outcome FROM task_items(:run, 'e') i, task_redrive(i.task_id) r;
SELECT outcome FROM task_items(:run, 'e') i, task_dispatch_successor(i.task_id, 'more', 'r');
SELECT * FROM baton_check(true);

-- ask: what runs is told, and may end as it likes; the run ends with it.
SELECT run_id AS run FROM workflow_start('w', '[0, 1, 2, 3]') \gset
SELECT l.item_index FROM task_acquire_lease('q', 'w', max_tasks => 3) l;
SELECT end_item(:run, 'a', 0);
SELECT l.item_index FROM task_acquire_lease('q', 'w', max_tasks => 3) l;
SELECT * FROM workflow_cancel(:run, 'not wanted');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT outcome, cancel_requested FROM leased(:run, 'a', 1) l, task_heartbeat(l.task_id, l.lease_token);
SELECT seq, kind, body - 'role' AS body FROM leased(:run, 'a', 1) l, task_events(l.task_id);
SELECT outcome FROM leased(:run, 'a', 1) l, task_dispatch_successor(l.task_id, 'more', 'r');
SELECT workflow_pause(:run, 'here'), workflow_resume(:run, 'here');
SELECT * FROM workflow_cancel(:run);
SELECT end_item(:run, 'a', 1), end_item(:run, 'a', 2, 'failed');
SELECT * FROM run(:run);
SELECT end_item(:run, 'a', 3, 'cancelled');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT count(*) FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
SELECT seq, kind, body - 'role' AS body FROM workflow_events(:run);
SELECT * FROM told();
SELECT * FROM baton_check(true);

-- Who is asked gives it back, retries, or is lost: it ends cancelled, and so does the run.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input[*]"}]}', input => '[0, 1, 2, 3]') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT count(*) FROM task_acquire_lease('q', 'w', '150 ms', max_tasks => 2);
SELECT * FROM workflow_cancel(:run);
SELECT outcome, state FROM leased(:run, 'a', 0) l, task_fail_attempt(l.task_id, l.lease_token);
SELECT outcome FROM leased(:run, 'a', 1) l, task_release(l.task_id, l.lease_token);
SELECT pg_sleep(0.2);
SELECT outcome FROM task_reap(max_tasks => 1, queue => 'q');
SELECT * FROM run(:run);
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT name, item_index, state, reason FROM task_list(run_id => :run) ORDER BY task_id;
SELECT * FROM told();
SELECT * FROM baton_check(true);

-- leave: nobody is told; what runs goes on to its end, but starts no more.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input[*]"}, {"name": "b", "queue": "q", "needs": ["a"], "when": "done"}]}', input => '[0, 1, 2, 3, 4]') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 3);
SELECT count(*) FROM task_acquire_lease('q', 'w', '150 ms');
SELECT * FROM workflow_cancel(:run, running => 'leave');
SELECT outcome, cancel_requested FROM leased(:run, 'a', 0) l, task_heartbeat(l.task_id, l.lease_token);
SELECT end_item(:run, 'a', 0);
SELECT outcome FROM leased(:run, 'a', 1) l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '0');
SELECT pg_sleep(0.2);
-- The first acquire finds that they go no further, the next one ends them.
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 5);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 5);
SELECT * FROM run(:run);
SELECT * FROM baton_check(true);
-- Changed to force.
SELECT * FROM workflow_cancel(:run, 'now', running => 'force');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT name, item_index, state FROM task_list(run_id => :run) ORDER BY task_id;
SELECT name, item_index, state FROM told();
SELECT * FROM baton_check(true);

-- leave, then asked.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q"}]}') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT * FROM workflow_cancel(:run, running => 'leave');
SELECT cancel_requested_at FROM task_items(:run, 'a') i, task_get(i.task_id);
SELECT * FROM workflow_cancel(:run);
SELECT cancel_requested_at IS NOT NULL AS asked FROM task_items(:run, 'a') i, task_get(i.task_id);
SELECT end_item(:run, 'a', 0);
-- All its tasks are completed, and still it was cancelled.
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT * FROM told();

-- force: leases are void at once.
SELECT run_id AS run FROM workflow_start('w', '[0, 1, 2, 3]') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT task_id AS a, lease_token AS l FROM leased(:run, 'a', 0) \gset
SELECT * FROM workflow_cancel(:run, 'enough', 'force');
SELECT outcome, state FROM task_finalize(:a, :l, 'completed');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT name, item_index, state, reason FROM told();
SELECT kind, body - 'role' AS body FROM workflow_events(:run, 3);
SELECT * FROM baton_check(true);

-- Items that are no tasks yet are counted; those of a bounded step, too.
SELECT run_id AS run FROM workflow_start(definition => '{"max_parallel": 5, "steps": [
    {"name": "bounded", "queue": "r", "with_items": "$.input[*]", "max_parallel": 2},
    {"name": "wide", "queue": "r", "with_items": "$.input[*]"}]}', input => (SELECT jsonb_agg(i) FROM generate_series(1, 1500) i)) \gset
SELECT count(*) FROM task_acquire_lease('r', 'w', max_tasks => 10);
SELECT * FROM workflow_cancel(:run);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT * FROM baton_check(true);
SELECT outcome, count(*) FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') GROUP BY outcome;
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT * FROM baton_check(true);

-- A paused run, at on_error and elsewhere.
SELECT run_id AS run FROM workflow_start('w', '[0, 1]') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT end_item(:run, 'a', 0, 'failed');
SELECT * FROM run(:run);
SELECT * FROM workflow_cancel(:run);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT run_id AS run FROM workflow_start('w', '[0, 1]') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT workflow_pause(:run, 'here');
SELECT end_item(:run, 'a', 0);
SELECT * FROM workflow_cancel(:run);
SELECT * FROM run(:run);
SELECT workflow_resume(:run, 'here');
SELECT end_item(:run, 'a', 1);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT count(*) FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
SELECT kind, body - 'role' AS body FROM workflow_events(:run, 3);
SELECT name, item_index, state FROM told();
-- A failing one: what its failure left running ends, handlers do not run.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "q"}, {"name": "c", "queue": "r", "needs": ["a"], "when": "failed"}, {"name": "d", "queue": "r", "needs": ["a", "b"], "when": "done"}]}') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT end_item(:run, 'a', 0, 'failed');
SELECT * FROM steps(:run);
SELECT * FROM workflow_cancel(:run);
SELECT end_item(:run, 'b', 0);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT name, item_index, state FROM told();
SELECT * FROM baton_check(true);

-- A run without a definition; its successor is not dispatched.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'a', ARRAY['1', '2', '3']::jsonb[], max_parallel => 2, successor => 'sum', successor_queue => 'r') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT * FROM workflow_cancel(:run);
SELECT * FROM run(:run);
\set VERBOSITY sqlstate
SELECT outcome FROM task_create_items('q', 'more', ARRAY['1']::jsonb[], run_id => :run);
\set VERBOSITY verbose
SELECT outcome FROM leased(:run, 'a', 0) l, task_dispatch_successor(l.task_id, 'more', 'r');
SELECT end_item(:run, 'a', 0);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT count(*) FROM unnest(ARRAY['q', 'r']) q, task_acquire_lease(q, 'w');
SELECT workflow_finalize(:run, 'cancelled'), workflow_finalize(:run, 'completed');
SELECT name, item_index, state FROM told();

-- One whose tasks are cancelled one by one is cancelled, too, if none failed.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input[*]"}, {"name": "b", "queue": "q", "needs": ["a"]}]}', input => '[0, 1]') \gset
SELECT c.outcome FROM task_items(:run, 'a') i, task_cancel(i.task_id) c;
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT * FROM workflow_cancel(:run);

-- Misuse.
SELECT * FROM workflow_cancel(:run, running => 'kill');
SELECT * FROM workflow_cancel(:run, running => NULL);
SELECT * FROM workflow_cancel(:run, '');
SELECT * FROM workflow_cancel(NULL);

SELECT * FROM baton_check(true);
