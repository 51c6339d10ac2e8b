-- workflow_start: of a workflow or of a definition, once per key.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT workflow_define('w', '{"steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "q", "needs": ["a"], "payload": "$.input"}]}');

-- By name.
SELECT outcome, run_id AS run FROM workflow_start('w') \gset
SELECT :'outcome' AS outcome;
SELECT run_id = :run AS same, name, version, key, state, checkpoint, checkpoint_detail, input, result, metadata, counts, created_at <= clock_timestamp() AS created, finalized_at FROM workflow_get(:run);
SELECT step, state, needs, total, running, completed, failed, result, started_at IS NOT NULL AS started, finalized_at FROM workflow_steps(:run);
SELECT seq, kind, body, at <= clock_timestamp() AS at FROM workflow_events(:run);
SELECT name, item_index, payload, run_id = :run AS of_run, attempt, key, metadata FROM task_acquire_lease('q', 'w');
-- By a definition of its own; input and metadata.
SELECT outcome, run_id AS run FROM workflow_start(input => '[1, {"x": null}]', definition => '{"steps": [{"name": "own", "queue": "q", "payload": "$.input"}]}', metadata => '{"by": "me"}') \gset
SELECT name, version, key, state, input, metadata, counts FROM workflow_get(:run);
SELECT seq, kind, body FROM workflow_events(:run);
SELECT name, payload FROM task_acquire_lease('q', 'w');
-- One without a name is there once per run, and is not found by name.
SELECT outcome, run_id <> :run AS another FROM workflow_start(definition => '{"steps": [{"name": "own", "queue": "q", "payload": "$.input"}]}');
SELECT count(*) FILTER (WHERE name IS NULL) AS without_name FROM baton.workflow;
-- Any JSON may be the input.
SELECT i, outcome FROM unnest(ARRAY['null', '5', '"x"', '[]']::jsonb[]) i, workflow_start('w', i, i::text) s;
SELECT g.key, g.input FROM baton.run r, workflow_get(r.run_id) g WHERE r.key IS NOT NULL ORDER BY r.run_id;

-- Keys: once per name; those without a name have their own.
SELECT outcome, run_id AS keyed FROM workflow_start('w', '{"n": 1, "m": 2}', 'order 7', metadata => '{"first": true}') \gset
SELECT :'outcome' AS outcome;
SELECT outcome, run_id = :keyed AS same FROM workflow_start('w', '{"m": 2, "n": 1.0}', 'order 7', metadata => '{"first": false}');
SELECT outcome, run_id = :keyed AS same FROM workflow_start('w', '{"n": 2}', 'order 7');
SELECT outcome, run_id = :keyed AS same FROM workflow_start('w', '{"n": 1, "m": 2}', 'order 8');
SELECT key, input, metadata, counts FROM workflow_get(:keyed);
SELECT workflow_define('v', '{"steps": [{"name": "a", "queue": "q"}]}');
SELECT outcome, run_id = :keyed AS same FROM workflow_start('v', '{"n": 1, "m": 2}', 'order 7');
SELECT outcome, run_id AS inline FROM workflow_start(NULL, '{"n": 1, "m": 2}', 'order 7', '{"steps": [{"name": "a", "queue": "q"}]}') \gset
SELECT :'outcome' AS outcome, :inline <> :keyed AS another;
SELECT outcome, run_id = :inline AS same FROM workflow_start(NULL, '{"n": 1, "m": 2}', 'order 7', '{"steps": [{"name": "a", "queue": "q"}]}');
-- The definition of a replay is not compared; the input is.
SELECT outcome, run_id = :inline AS same FROM workflow_start(NULL, '{"n": 1, "m": 2}', 'order 7', '{"steps": [{"name": "other", "queue": "q"}]}');
SELECT outcome, run_id = :inline AS same FROM workflow_start(NULL, '{}', 'order 7', '{"steps": [{"name": "a", "queue": "q"}]}');
SELECT count(*) FROM baton.workflow w WHERE NOT EXISTS (SELECT FROM baton.run r WHERE r.workflow_id = w.workflow_id);
-- A key is taken beyond the end of its run.
SELECT outcome FROM workflow_cancel(:keyed);
SELECT outcome, run_id = :keyed AS same FROM workflow_start('w', '{"n": 1, "m": 2}', 'order 7');
-- Groups have keys of their own.
SELECT outcome, run_id <> :inline AS another FROM task_create_items('q', 'g', ARRAY['1']::jsonb[], key => 'order 7');

-- A run keeps the version it started with; the next one has the new one.
SELECT run_id AS old, outcome FROM workflow_start('w', '"old"', 'old') \gset
SELECT workflow_define('w', '{"steps": [{"name": "a", "queue": "q"}, {"name": "c", "queue": "q", "needs": ["a"]}]}');
SELECT run_id AS new, outcome FROM workflow_start('w', '"new"') \gset
SELECT version, step FROM unnest(ARRAY[:old, :new]) r, workflow_get(r) g, workflow_steps(r) s;
SELECT outcome, run_id = :old AS same FROM workflow_start('w', '"old"', 'old');
SELECT f.outcome FROM task_items(:old, 'a') i, task_acquire_lease_by_id(i.task_id, 'w') l, task_finalize(i.task_id, l.lease_token, 'completed') f;
SELECT step, state FROM workflow_steps(:old);

-- A replay is answered, whatever the next version wants.
SELECT workflow_define('w', '{"steps": [{"name": "a", "queue": "not yet there"}]}');
SELECT outcome, run_id = :old AS same FROM workflow_start('w', '"old"', 'old');
SELECT workflow_define('w', '{"steps": [{"name": "a", "queue": "q"}]}');

-- Rolled back with the caller's transaction, and at once visible in it.
BEGIN;
SELECT outcome, run_id AS gone FROM workflow_start('w', key => 'gone') \gset
SELECT state FROM workflow_get(:gone);
ROLLBACK;
SELECT state FROM workflow_get(:gone);
SELECT outcome, run_id > :gone AS later FROM workflow_start('w', key => 'gone');

-- A run of nothing to do has ended when it is started.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "if": "false"}, {"name": "b", "queue": "q", "needs": ["a"]}, {"name": "c", "queue": "q", "with_items": "$.input[*]"}, {"name": "d", "queue": "q", "needs": ["c"], "with_items": "$.steps.c.result"}]}', input => '[]') \gset
SELECT state, counts, result, finalized_at >= created_at AS ended FROM workflow_get(:run);
SELECT step, state FROM workflow_steps(:run);
SELECT seq, kind, body FROM workflow_events(:run);

-- Misuse; nothing is left of it.
SELECT count(*) AS runs FROM baton.run \gset
SELECT count(*) AS workflows FROM baton.workflow \gset
SELECT * FROM workflow_start();
SELECT * FROM workflow_start('w', definition => '{"steps": [{"name": "a", "queue": "q"}]}');
SELECT * FROM workflow_start('no such workflow');
SELECT * FROM workflow_start('');
SELECT * FROM workflow_start('w', NULL);
SELECT * FROM workflow_start('w', key => '');
SELECT * FROM workflow_start('w', key => repeat('k', 256));
SELECT * FROM workflow_start('w', metadata => NULL);
SELECT * FROM workflow_start('w', metadata => '[]');
SELECT * FROM workflow_start('w', to_jsonb(repeat('x', 300000)));
SELECT * FROM workflow_start('w', metadata => jsonb_build_object('x', repeat('x', 300000)));
SELECT * FROM workflow_start(definition => '{"steps": [{"name": "a", "qeue": "q"}]}');
SELECT * FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "nowhere", "needs": ["a"]}]}');
SELECT * FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "slot_keys": ["no such key"]}]}');
SELECT * FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "compensate": {"queue": "nowhere"}}]}');
SELECT workflow_define('nowhere', '{"steps": [{"name": "a", "queue": "nowhere"}]}');
SELECT * FROM workflow_start('nowhere');
SELECT count(*) - :runs AS runs FROM baton.run;
SELECT count(*) - :workflows AS workflows FROM baton.workflow;

-- A step with slot keys: its tasks take a slot of each, or wait; the key knows their queue and priority from the start.
SELECT slot_set('gpu', 1);
SELECT queue_create('with slots');
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "with slots", "with_items": "$.input", "slot_keys": ["gpu"]}, {"name": "b", "queue": "with slots", "priority": 3, "needs": ["a"], "slot_keys": ["gpu"]}]}', input => '[1, 2]') \gset
SELECT name, item_index, state, slot_keys FROM task_list(run_id => :run) ORDER BY task_id;
SELECT k.name, k.capacity, k.lanes = (1 << 9) | (1 << 12) AS lanes, ARRAY(SELECT q.name FROM baton.queue q WHERE q.queue_id = ANY (k.queue_ids)) AS queues FROM baton.slot_key k;
SELECT f.outcome, cardinality(f.dispatched) AS dispatched FROM task_acquire_lease('with slots', 'w', max_tasks => 10) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT f.outcome, cardinality(f.dispatched) AS dispatched FROM task_acquire_lease('with slots', 'w', max_tasks => 10) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT name, item_index, state, slot_keys FROM task_list(run_id => :run) ORDER BY task_id;
SELECT slot_key, capacity, holders, waiters FROM baton.slot_usage;

SELECT * FROM baton_check(true);
