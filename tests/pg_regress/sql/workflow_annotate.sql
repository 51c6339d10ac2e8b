-- workflow_annotate: merges into a run's metadata, in every state, and touches nothing else.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT workflow_annotate(999999999, '{}');

SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "q", "needs": ["a"], "payload": "$.input"}]}', input => '{"n": 1}', metadata => '{"team": "billing", "tags": {"a": 1}}') \gset
-- Key by key at the top level; null is a value.
SELECT workflow_annotate(:run, '{"tags": {"b": 2}, "note": null}');
SELECT metadata FROM workflow_get(:run);
SELECT workflow_annotate(:run, '{}');
SELECT workflow_annotate(:run, '{"team": "sales"}');
SELECT metadata FROM workflow_get(:run);

-- In every state; nothing else changes.
CREATE FUNCTION all_but_metadata(run bigint) RETURNS text LANGUAGE sql AS $$
    SELECT md5(concat((SELECT to_jsonb(g) - 'metadata' FROM workflow_get(run) g), (SELECT jsonb_agg(s) FROM workflow_steps(run) s), (SELECT jsonb_agg(e) FROM workflow_events(run) e), (SELECT jsonb_agg(t) FROM task_list(run_id => run) t)))
$$;
SELECT task_id AS a, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT all_but_metadata(:run) AS before \gset
SELECT workflow_annotate(:run, '{"leased": true}');
SELECT all_but_metadata(:run) = :'before' AS nothing_else;
SELECT workflow_pause(:run, 'here');
SELECT all_but_metadata(:run) AS before \gset
SELECT workflow_annotate(:run, '{"paused": true}');
SELECT all_but_metadata(:run) = :'before' AS nothing_else;
SELECT workflow_resume(:run, 'here');
SELECT outcome FROM task_finalize(:a, :l, 'completed');
SELECT name, payload, f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT state FROM workflow_get(:run);
SELECT all_but_metadata(:run) AS before \gset
SELECT workflow_annotate(:run, '{"ended": true}');
SELECT all_but_metadata(:run) = :'before' AS nothing_else;
SELECT metadata FROM workflow_get(:run);
-- Tasks keep their own.
SELECT t.metadata FROM task_list(run_id => :run) t;
SELECT run_id AS group FROM task_create_items('q', 'a', ARRAY['1']::jsonb[]) \gset
SELECT workflow_annotate(:group, '{"x": 1}');
SELECT metadata FROM workflow_get(:group);
-- A cancelled run, and one that is being cancelled.
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT * FROM workflow_cancel(:group);
SELECT workflow_annotate(:group, '{"y": 2}');
SELECT * FROM workflow_cancel(:group, running => 'force');
SELECT workflow_annotate(:group, '{"z": 3}');
SELECT state, metadata FROM workflow_get(:group);

-- Rolled back like any change.
BEGIN;
SELECT workflow_annotate(:run, '{"gone": true}');
ROLLBACK;
SELECT metadata ? 'gone' AS gone FROM workflow_get(:run);

-- Too large in all, and misuse: nothing is changed.
SELECT workflow_annotate(:run, jsonb_build_object('half', repeat('x', 200000)));
SELECT pg_column_size(metadata) > 200000 AS large FROM workflow_get(:run);
\set VERBOSITY sqlstate
SELECT workflow_annotate(:run, jsonb_build_object('other half', repeat('x', 200000)));
\set VERBOSITY verbose
SELECT metadata ? 'other half' AS there FROM workflow_get(:run);
SELECT workflow_annotate(:run, '{"half": 0}');
SELECT metadata FROM workflow_get(:run);
SELECT workflow_annotate(:run, '[]');
SELECT workflow_annotate(:run, '"x"');
SELECT workflow_annotate(:run, NULL);
SELECT workflow_annotate(NULL, '{}');
SELECT workflow_annotate(:run, jsonb_build_object('x', repeat('x', 300000)));
SELECT metadata FROM workflow_get(:run);

SELECT * FROM baton_check(true);
