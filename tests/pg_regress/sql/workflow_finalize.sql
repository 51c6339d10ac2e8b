-- workflow_finalize: ends a run without a definition, once all its tasks have ended.

SELECT queue_create('q', lease_ttl => '1 min');
CREATE FUNCTION work(queue text, state text = 'completed', n int = 1) RETURNS TABLE (step text, item int, outcome text) LANGUAGE sql AS $$
    SELECT l.name, l.item_index, f.outcome FROM task_acquire_lease(queue, 'w', max_tasks => n) l, task_finalize(l.task_id, l.lease_token, state, l.payload) f
$$;
SELECT * FROM workflow_finalize(999999999, 'completed');

-- Not while a task is in line, leased or blocked.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'a', ARRAY['1', '2']::jsonb[], max_parallel => 1) \gset
SELECT workflow_finalize(:run, 'completed');
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT workflow_finalize(:run, 'completed');
SELECT f.outcome FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed', '"first"') f;
SELECT workflow_finalize(:run, 'completed');
SELECT * FROM work('q');
-- All its tasks have ended, and still it takes groups.
SELECT state, counts, finalized_at FROM workflow_get(:run);
SELECT item_index, state FROM task_create_items('q', 'b', ARRAY['3']::jsonb[], run_id => :run);
SELECT workflow_finalize(:run, 'completed');
SELECT * FROM work('q', 'failed');
-- Its state is the caller's word, whatever its tasks came to.
SELECT workflow_finalize(:run, 'completed', '{"sum": 6}');
SELECT name, version, state, result, counts, finalized_at >= created_at AS ended FROM workflow_get(:run);
SELECT seq, kind, body FROM workflow_events(:run);
-- A replay; another state or result; nothing more is created in it.
SELECT workflow_finalize(:run, 'completed', '{"sum": 6}'), workflow_finalize(:run, 'completed', '{"sum": 6.0}');
SELECT workflow_finalize(:run, 'failed', '{"sum": 6}'), workflow_finalize(:run, 'completed'), workflow_finalize(:run, 'completed', '{"sum": 7}');
SELECT state, result FROM workflow_get(:run);
\set VERBOSITY sqlstate
SELECT outcome FROM task_create_items('q', 'c', ARRAY['1']::jsonb[], run_id => :run);
\set VERBOSITY verbose
-- What was created in it is answered as ever.
SELECT outcome FROM task_create_items('q', 'b', ARRAY['3']::jsonb[], run_id => :run);
SELECT d.outcome FROM task_items(:run, 'b') i, task_dispatch_successor(i.task_id, 'more', 'q') d;
SELECT r.outcome FROM task_items(:run, 'b') i, task_redrive(i.task_id) r;
SELECT workflow_pause(:run, 'here'), workflow_resume(:run, 'here');
SELECT * FROM workflow_cancel(:run);
SELECT count(*) FROM workflow_events(:run);

-- Failed and cancelled; without a result.
SELECT run_id AS run FROM task_create_items('q', 'a', ARRAY['1']::jsonb[]) \gset
SELECT * FROM work('q');
SELECT workflow_finalize(:run, 'failed');
SELECT workflow_finalize(:run, 'failed'), workflow_finalize(:run, 'failed', 'null');
SELECT state, result FROM workflow_get(:run);
SELECT seq, kind, body FROM workflow_events(:run, 3);
SELECT run_id AS run FROM task_create_items('q', 'a', ARRAY['1']::jsonb[]) \gset
SELECT * FROM work('q', 'cancelled');
SELECT workflow_finalize(:run, 'cancelled', '"no"');
SELECT state, result FROM workflow_get(:run);

-- A built-in successor is dispatched first, and counts.
SELECT run_id AS run FROM task_create_items('q', 'a', ARRAY['1']::jsonb[], successor => 'sum') \gset
SELECT * FROM work('q');
SELECT workflow_finalize(:run, 'completed');
SELECT * FROM work('q');
SELECT workflow_finalize(:run, 'completed');

-- A paused run is not ended before it is resumed.
SELECT run_id AS run FROM task_create_items('q', 'a', ARRAY['1']::jsonb[]) \gset
SELECT * FROM work('q');
SELECT workflow_pause(:run, 'here');
\set VERBOSITY sqlstate
SELECT workflow_finalize(:run, 'completed');
\set VERBOSITY verbose
SELECT state FROM workflow_get(:run);
SELECT workflow_resume(:run, 'here');
SELECT workflow_finalize(:run, 'completed');

-- One that was cancelled is ended by its last task.
SELECT run_id AS run FROM task_create_items('q', 'a', ARRAY['1']::jsonb[]) \gset
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT * FROM workflow_cancel(:run);
SELECT workflow_finalize(:run, 'completed');
SELECT f.outcome FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT workflow_finalize(:run, 'completed'), workflow_finalize(:run, 'cancelled');
SELECT state FROM workflow_get(:run);

-- A run with a definition ends by itself, at whatever point.
SELECT run_id AS defined FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q"}]}') \gset
\set VERBOSITY sqlstate
SELECT workflow_finalize(:defined, 'completed');
SELECT * FROM work('q');
SELECT workflow_finalize(:defined, 'completed');
\set VERBOSITY verbose
SELECT state FROM workflow_get(:defined);

-- Misuse.
SELECT workflow_finalize(NULL, 'completed');
SELECT workflow_finalize(:run, NULL);
SELECT workflow_finalize(:run, 'quarantined');
SELECT workflow_finalize(:run, 'completed', to_jsonb(repeat('x', 300000)));

SELECT * FROM baton_check(true);
