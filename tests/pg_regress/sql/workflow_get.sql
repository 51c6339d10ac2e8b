-- workflow_get, workflow_steps, workflow_events, workflow_mermaid, baton.workflow_progress: a run, read at every stage.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT queue_create('r', lease_ttl => '1 min');
SELECT * FROM workflow_get(999999999);
SELECT * FROM workflow_steps(999999999);
SELECT * FROM workflow_events(999999999);
SELECT workflow_mermaid(999999999) IS NULL AS none;
SELECT * FROM workflow_get(NULL);
SELECT * FROM workflow_steps(NULL);
SELECT * FROM workflow_events(NULL);
SELECT workflow_mermaid(NULL);

CREATE FUNCTION end_item(run bigint, step text, item int, ended text = 'completed') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome FROM task_items(run, step, item - 1, 1) i JOIN baton.leases l USING (task_id), task_finalize(i.task_id, l.lease_token, ended, to_jsonb(step || item)) f
$$;
CREATE FUNCTION run(run bigint) RETURNS TABLE (name text, version int, key text, state text, checkpoint text, checkpoint_detail jsonb, result jsonb, counts jsonb, ended boolean) LANGUAGE sql AS $$
    SELECT name, version, key, state, checkpoint, checkpoint_detail, result, counts, finalized_at IS NOT NULL FROM workflow_get(run)
$$;
CREATE FUNCTION steps(run bigint) RETURNS TABLE (step text, state text, needs text[], total int, running int, completed int, failed int, result jsonb, started boolean, ended boolean) LANGUAGE sql AS $$
    SELECT step, state, needs, total, running, completed, failed, result, started_at IS NOT NULL, finalized_at IS NOT NULL FROM workflow_steps(run)
$$;
CREATE FUNCTION progress(run bigint) RETURNS TABLE (name text, version int, key text, state text, checkpoint text, steps bigint, steps_ended bigint, tasks bigint, running bigint, completed bigint, failed bigint, cancelled bigint, ended boolean) LANGUAGE sql AS $$
    SELECT name, version, key, state, checkpoint, steps, steps_ended, tasks, running, completed, failed, cancelled, finalized_at IS NOT NULL FROM baton.workflow_progress WHERE run_id = run
$$;

-- Steps in an order in which each follows what it needs, whatever the order they were written in.
SELECT workflow_define('etl', '{"on_error": "pause", "steps": [
    {"name": "report", "queue": "q", "needs": ["items", "side"], "when": "done", "checkpoint": "before report"},
    {"name": "items", "queue": "q", "needs": ["fetch"], "with_items": "$.steps.fetch.result.ids", "max_parallel": 2, "payload": {"id": "$.item"}},
    {"name": "alert", "queue": "r", "needs": ["items"], "when": "failed"},
    {"name": "fetch", "queue": "r", "payload": "$.input"},
    {"name": "side", "queue": "r", "needs": ["fetch"], "if": "$.input.side"}]}');
SELECT run_id AS run FROM workflow_start('etl', '{"day": 1, "side": false}', 'day 1') \gset
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT * FROM progress(:run);
SELECT f.outcome, cardinality(f.dispatched) AS dispatched FROM task_acquire_lease('r', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed', '{"ids": ["x", "y", "z"]}') f;
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT * FROM progress(:run);
SELECT end_item(:run, 'items', 0);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT * FROM steps(:run);
SELECT replace(workflow_mermaid(:run), 'run ' || :run, 'run N');
SELECT end_item(:run, 'items', 1, 'failed');
SELECT state, checkpoint, counts FROM run(:run);
SELECT * FROM progress(:run);
SELECT end_item(:run, 'items', 2);
SELECT r.outcome FROM task_items(:run, 'items', 0, 1) i, task_redrive(i.task_id) r;
SELECT workflow_resume(:run, 'on_error');
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT end_item(:run, 'items', 1);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT replace(workflow_mermaid(:run), 'run ' || :run, 'run N');
SELECT workflow_resume(:run, 'before report');
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 2);
SELECT end_item(:run, 'report', 0);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT * FROM progress(:run);
SELECT replace(workflow_mermaid(:run), 'run ' || :run, 'run N');

-- The tape, a page at a time, dense; times never go back, and are those of the steps and the run.
SELECT seq, kind, body FROM workflow_events(:run, max_events => 3);
SELECT seq, kind FROM workflow_events(:run, 3, 2);
SELECT seq, kind FROM workflow_events(:run, 13);
SELECT seq, kind FROM workflow_events(:run, 1000000);
SELECT count(*), min(seq), max(seq), bool_and(at >= before) AS in_order FROM (SELECT seq, at, lag(at, 1, at) OVER (ORDER BY seq) AS before FROM workflow_events(:run)) e;
SELECT g.created_at <= e.first AS started, g.finalized_at = e.last AS ended FROM workflow_get(:run) g, (SELECT min(at) AS first, max(at) AS last FROM workflow_events(:run)) e;
SELECT step FROM workflow_steps(:run) WHERE finalized_at < started_at OR started_at IS NULL AND state NOT IN ('skipped');
SELECT count(*) FROM workflow_events(:run, max_events => 0);
SELECT count(*) FROM workflow_events(:run, max_events => 100001);
SELECT count(*) FROM workflow_events(:run, NULL);

-- The result of a run: of its last steps that were completed, by name; of items, in their order.
SELECT run_id AS run FROM workflow_start(definition => '{"on_error": "continue", "steps": [{"name": "a", "queue": "q"}, {"name": "list", "queue": "q", "needs": ["a"], "with_items": "$.input"}, {"name": "plain", "queue": "q", "needs": ["a"]}, {"name": "none", "queue": "q", "needs": ["a"], "with_items": "$.input.nothing"},
    {"name": "skipped", "queue": "q", "needs": ["a"], "when": "failed"}, {"name": "bad", "queue": "q", "needs": ["a"]}]}', input => '[1, 2]') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 5);
SELECT end_item(:run, 'a', 0);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 5);
SELECT end_item(:run, 'list', 1), end_item(:run, 'list', 0), end_item(:run, 'plain', 0);
SELECT result FROM workflow_get(:run);
SELECT end_item(:run, 'bad', 0, 'failed');
SELECT state, result FROM workflow_get(:run);
SELECT * FROM progress(:run);

-- A run made by task_create_items, a step per name; its successor is one.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'a', ARRAY['1', '2']::jsonb[], max_parallel => 1, successor => 'sum', successor_queue => 'r', key => 'k') \gset
SELECT item_index FROM task_create_items('r', 'b', ARRAY['1']::jsonb[], run_id => :run);
SELECT * FROM run(:run);
SELECT * FROM steps(:run);
SELECT * FROM progress(:run);
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT end_item(:run, 'a', 0);
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT end_item(:run, 'a', 1);
SELECT * FROM steps(:run);
SELECT replace(workflow_mermaid(:run), 'run ' || :run, 'run N');
SELECT seq, kind, body FROM workflow_events(:run);
SELECT count(*) FROM task_acquire_lease('r', 'w', max_tasks => 5);
SELECT end_item(:run, 'b', 0, 'quarantined'), end_item(:run, 'sum', 0);
SELECT * FROM run(:run);
SELECT * FROM progress(:run);

SELECT * FROM baton_check(true);
