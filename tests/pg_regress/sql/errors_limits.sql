-- Bad values and limits: the error names the argument and what is allowed, and nothing is written.

SELECT queue_create('q');
SELECT task_id AS t FROM task_create('q', key => 'k') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
CREATE FUNCTION one_step(step jsonb = '{}') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('steps', jsonb_build_array('{"name": "s", "queue": "q"}'::jsonb || step)) $$;
SELECT run_id AS r FROM workflow_start(definition => one_step('{"checkpoint": "before"}')) \gset

-- Names, keys, owners, kinds, reasons: 1 to 255 bytes, not characters.
SELECT * FROM task_create('');
SELECT * FROM task_create('q', name => '');
SELECT * FROM task_create('q', name => repeat('n', 256));
SELECT * FROM task_create('q', key => repeat('ä', 128));
SELECT outcome FROM task_create('q', name => repeat('n', 255), key => repeat('ä', 127));
SELECT * FROM task_acquire_lease('q', '');
SELECT * FROM task_acquire_lease('q', repeat('o', 256));
SELECT * FROM task_acquire_lease_by_id(:t, repeat('o', 256));
SELECT * FROM task_append_event(:t, '');
SELECT * FROM task_append_event(:t, repeat('k', 256));
SELECT * FROM task_append_event(:t, 'kind', dedup_key => '');
SELECT * FROM task_finalize(:t, :l, 'completed', reason => repeat('r', 256));
SELECT * FROM task_cancel(:t, '');
SELECT * FROM task_create_items('q', '', ARRAY['1']::jsonb[]);
SELECT * FROM task_create_items('q', 'g', ARRAY['1']::jsonb[], key => '');
SELECT * FROM task_create_items('q', 'g', ARRAY['1']::jsonb[], successor => '');
SELECT * FROM task_dispatch_successor(:t, '', 'q');
SELECT * FROM task_dispatch_successor(:t, 's', 'q', needs => ARRAY['']);
SELECT * FROM task_get_by_key('q', '');
SELECT * FROM task_items(1, '');
SELECT * FROM task_list(repeat('q', 256));
SELECT * FROM task_list(name => '');
SELECT * FROM task_list(owner => repeat('ä', 128));
SELECT count(*) FROM task_list(name => repeat('n', 255), owner => repeat('ä', 127));
SELECT * FROM task_reap_owner('', 1);
SELECT * FROM task_reap_owner('w', 1, repeat('ä', 128));
SELECT queue_create('new', on_final_queue => repeat('q', 256));
SELECT queue_alter('q', on_final_queue => repeat('q', 256));
SELECT queue_pause('');
SELECT queue_resume(repeat('q', 256));
SELECT queue_drop('');
SELECT * FROM queue_redrive('');
SELECT * FROM baton_purge('0', queue => repeat('q', 256));
SELECT workflow_define('', one_step());
SELECT workflow_define(repeat('ä', 128), one_step());
SELECT * FROM workflow_start('');
SELECT * FROM workflow_start(repeat('n', 256));
SELECT * FROM workflow_start(key => '', definition => one_step());
SELECT * FROM workflow_start(key => repeat('ä', 128), definition => one_step());
SELECT workflow_pause(:r, '');
SELECT workflow_pause(:r, repeat('c', 256));
SELECT workflow_resume(:r, '');
SELECT workflow_resume(:r, repeat('ä', 128));
SELECT * FROM workflow_cancel(:r, '');
SELECT * FROM workflow_cancel(:r, repeat('r', 256));
SELECT * FROM workflow_cancel(:r, running => '');
SELECT workflow_finalize(:r, '');
SELECT * FROM workflow_append_event(:r, '');
SELECT * FROM workflow_append_event(:r, repeat('k', 256));
SELECT * FROM workflow_append_event(:r, 'kind', dedup_key => '');
SELECT * FROM workflow_append_event(:r, 'kind', dedup_key => repeat('ä', 128));
SELECT workflow_define(repeat('ä', 127), one_step());
SELECT slot_set('', 1);
SELECT slot_set(repeat('k', 256), 1);
SELECT slot_set(repeat('ä', 128), 1);
SELECT slot_set(repeat('ä', 127), 1);
SELECT * FROM task_register_compensation(:t, :l, '', 'q');
SELECT * FROM task_register_compensation(:t, :l, repeat('ä', 128), 'q');
SELECT * FROM task_register_compensation(:t, :l, 'undo', '');
SELECT * FROM task_register_compensation(:t, :l, 'undo', repeat('q', 256));
SELECT * FROM task_create('q', slot_keys => ARRAY['']);
SELECT * FROM task_create('q', slot_keys => ARRAY['key', repeat('k', 256)]);
SELECT * FROM task_create_many('q', ARRAY['1']::jsonb[], slot_keys => ARRAY[repeat('ä', 128)]);

-- Kinds that the functions themselves write.
SELECT * FROM workflow_append_event(:r, 'step_finalized');
SELECT * FROM workflow_append_event(:r, 'paused');
SELECT * FROM workflow_append_event(:r, 'baton.x');
SELECT * FROM workflow_append_event(:r, 'compensating');
SELECT * FROM task_append_event(:t, 'compensating');
SELECT * FROM task_append_event(:t, 'baton.compensation_registered');

-- Numbers.
SELECT * FROM task_create('q', priority => 10);
SELECT * FROM task_create('q', priority => -10);
SELECT * FROM task_create('q', max_attempts => 0);
SELECT * FROM task_create_many('q', ARRAY['1']::jsonb[], priority => 100000);
SELECT * FROM task_acquire_lease('q', 'w', max_tasks => 0);
SELECT * FROM task_acquire_lease('q', 'w', max_tasks => -1);
SELECT * FROM task_acquire_lease('q', 'w', max_tasks => 1001);
SELECT * FROM task_events(:t, max_events => 0);
SELECT * FROM task_events(:t, max_events => 2147483647);
SELECT * FROM task_items(1, 'g', max_items => 0);
SELECT * FROM task_list(max_tasks => 1001);
SELECT * FROM task_list(max_tasks => 0);
SELECT * FROM task_reap_owner('w', 1, max_tasks => 1001);
SELECT * FROM task_reap_owner('w', 1, max_tasks => -1);
SELECT * FROM queue_redrive('q', max_tasks => 1001);
SELECT * FROM queue_redrive('q', max_tasks => 0);
SELECT * FROM baton_purge('0', 100001);
SELECT * FROM baton_purge('0', 0);
SELECT * FROM workflow_events(:r, max_events => 0);
SELECT * FROM workflow_events(:r, max_events => 100001);
SELECT workflow_define('flow', one_step() || '{"max_parallel": 0}');
SELECT workflow_define('flow', one_step() || '{"max_parallel": 100001}');
SELECT workflow_define('flow', one_step('{"priority": 10}'));
SELECT workflow_define('flow', one_step('{"max_attempts": 10001}'));
SELECT workflow_define('flow', one_step('{"max_runtime": "99 ms"}'));
SELECT workflow_define('flow', '{"steps": []}');
SELECT workflow_define('flow', jsonb_build_object('steps', (SELECT jsonb_agg(jsonb_build_object('name', 's' || n)) FROM generate_series(1, 1001) n)));
SELECT slot_set('key', -1);
SELECT slot_set('key', 100001);
SELECT slot_set('key', 2147483647);
SELECT slot_set('key', -2147483648);
SELECT slot_set('widest', 100000), slot_set('none', 0);
SELECT slot_key, capacity, holders, waiters, draining FROM baton.slot_usage WHERE slot_key IN ('key', 'widest', 'none') ORDER BY 1;

-- States: names of an enumeration, in one dimension, at most 1000.
SELECT * FROM task_list(states => '{finished}');
SELECT * FROM task_list(states => array_fill('ready'::text, ARRAY[1001]));
SELECT * FROM task_list(states => ARRAY[repeat('x', 10000000)]);
SELECT * FROM queue_redrive('q', '{running}');
SELECT * FROM queue_redrive('q', '{completed}');
SELECT * FROM baton_purge('0', states => '{failed,running}');
SELECT * FROM baton_purge('0', states => '{{failed},{cancelled}}');
SELECT * FROM baton_purge('0', states => '{compensating}');
SELECT * FROM queue_redrive('q', '{compensating}');
SELECT * FROM task_finalize(:t, :l, 'compensated');
SELECT * FROM task_finalize_many(ARRAY[:t], ARRAY[:l], ARRAY['compensating']);
SELECT queue_create('new', on_final_queue => 'q', on_final_states => '{scheduled}');
SELECT queue_create('new', on_final_queue => 'q', on_final_states => array_fill('failed'::text, ARRAY[1001]));
SELECT queue_alter('q', on_final_queue => 'q', on_final_states => '{}');
SELECT workflow_finalize(:r, 'running');
SELECT workflow_finalize(:r, 'quarantined');
SELECT workflow_finalize(:r, 'compensated');
SELECT * FROM workflow_cancel(:r, running => 'wait');
SELECT workflow_pause(:r, 'on_error');

-- Times.
SELECT * FROM task_acquire_lease('q', 'w', '99 ms');
SELECT * FROM task_acquire_lease('q', 'w', '24:00:00.000001');
SELECT * FROM task_acquire_lease('q', 'w', '-1 s');
SELECT * FROM task_acquire_lease('q', 'w', '100000000 years');
SELECT * FROM task_acquire_lease_by_id(:t, 'w', '1 month');
SELECT * FROM task_start(:t, :l, '0');
SELECT * FROM task_heartbeat(:t, :l, '2 days');
SELECT count(*) FROM task_acquire_lease('q', 'w', '24 h');
SELECT * FROM task_create('q', run_at => 'infinity');
SELECT * FROM task_create('q', run_at => '-infinity');
SELECT * FROM task_create_many('q', ARRAY['1']::jsonb[], run_at => 'infinity');
SELECT outcome, state FROM task_create('q', run_at => '294000-01-01');
SELECT * FROM baton_purge('-1 ms');
SELECT * FROM baton_purge('11 years');
SELECT queue_alter('q', max_runtime => '99 ms');
SELECT queue_alter('q', max_runtime => '-1 s');

-- JSON.
SELECT * FROM task_create('q', metadata => '[]');
SELECT * FROM task_create('q', metadata => 'null');
SELECT * FROM task_annotate(:t, '[]');
SELECT workflow_annotate(:r, '[]');
SELECT workflow_annotate(:r, 'null');
SELECT * FROM workflow_start(definition => one_step(), metadata => '"text"');
SELECT workflow_define('flow', '[]');
SELECT * FROM workflow_start(definition => 'null');
SELECT * FROM workflow_start('flow', definition => one_step());
SELECT * FROM workflow_start();
SELECT * FROM workflow_start('flow');
SELECT * FROM workflow_start(definition => one_step('{"queue": "nowhere"}'));
SET pg_baton.max_payload_bytes = '1kB';
SELECT outcome FROM task_create('q', to_jsonb(repeat('x', 1000)));
SELECT outcome FROM task_create('q', to_jsonb(repeat('x', 1100)));
\set VERBOSITY sqlstate
SELECT * FROM task_create('q', metadata => jsonb_build_object('x', repeat('x', 1100)));
SELECT * FROM task_create_many('q', ARRAY['1', to_jsonb(repeat('x', 1100))]);
SELECT * FROM task_create_items('q', 'g', ARRAY['1', to_jsonb(repeat('x', 1100))]);
SELECT * FROM task_create_items('q', 'g', ARRAY['1']::jsonb[], successor => 's', successor_payload => to_jsonb(repeat('x', 1100)));
SELECT * FROM task_finalize(:t, :l, 'completed', to_jsonb(repeat('x', 1100)));
SELECT * FROM task_finalize(:t, :l, 'completed', error => to_jsonb(repeat('x', 1100)));
SELECT * FROM task_finalize_many(ARRAY[:t], ARRAY[:l], ARRAY['completed'], ARRAY[to_jsonb(repeat('x', 1100))]);
SELECT * FROM task_fail_attempt(:t, :l, to_jsonb(repeat('x', 1100)));
SELECT * FROM task_append_event(:t, 'kind', to_jsonb(repeat('x', 1100)));
SELECT * FROM task_append_events(:t, ARRAY['kind'], ARRAY[to_jsonb(repeat('x', 1100))]);
SELECT * FROM task_dispatch_successor(:t, 's', 'q', to_jsonb(repeat('x', 1100)));
SELECT * FROM task_annotate(:t, jsonb_build_object('x', repeat('x', 1100)));
SELECT * FROM task_register_compensation(:t, :l, 'undo', 'q', to_jsonb(repeat('x', 1100)));
SELECT * FROM workflow_start(input => to_jsonb(repeat('x', 1100)), definition => one_step());
SELECT * FROM workflow_start(definition => one_step(), metadata => jsonb_build_object('x', repeat('x', 1100)));
SELECT workflow_pause(:r, 'by hand', to_jsonb(repeat('x', 1100)));
SELECT workflow_finalize(:r, 'completed', to_jsonb(repeat('x', 1100)));
SELECT * FROM workflow_append_event(:r, 'kind', to_jsonb(repeat('x', 1100)));
SELECT workflow_annotate(:r, jsonb_build_object('x', repeat('x', 1100)));
\set VERBOSITY verbose
-- Metadata is measured as it comes to.
SELECT workflow_annotate(:r, jsonb_build_object('a', repeat('x', 600)));
\set VERBOSITY sqlstate
SELECT workflow_annotate(:r, jsonb_build_object('b', repeat('x', 600)));
\set VERBOSITY verbose
SELECT workflow_annotate(:r, jsonb_build_object('a', repeat('y', 600)));
SELECT left(metadata ->> 'a', 1) AS a, metadata ? 'b' AS b FROM workflow_get(:r);
RESET pg_baton.max_payload_bytes;
SHOW pg_baton.max_payload_bytes;
SELECT outcome FROM task_create('q', to_jsonb(repeat('x', 256 * 1024 - 100)));
SELECT outcome FROM task_create('q', to_jsonb(repeat('x', 256 * 1024)));

-- A definition: 4 MB.
SELECT workflow_define('flow', one_step(jsonb_build_object('payload', repeat('x', 4 * 1024 * 1024))));
SELECT * FROM workflow_start(definition => one_step(jsonb_build_object('payload', repeat('x', 4 * 1024 * 1024))));

-- The events of a run's tape; those of the functions themselves are exempt.
SET pg_baton.max_events_per_task = 4;
SELECT n, outcome, seq FROM generate_series(1, 2) n, workflow_append_event(:r, 'note' || n, dedup_key => n::text);
\set VERBOSITY sqlstate
SELECT * FROM workflow_append_event(:r, 'kind');
\set VERBOSITY verbose
SELECT outcome, seq FROM workflow_append_event(:r, 'kind', dedup_key => '1');
SELECT workflow_resume(:r, 'before');
RESET pg_baton.max_events_per_task;
SELECT seq, kind FROM workflow_events(:r);

-- Slot keys: up to 8 names, each once, in one dimension.
SELECT slot_set('k' || n, 1) FROM generate_series(1, 9) n;
SELECT * FROM task_create('q', slot_keys => ARRAY['k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7', 'k8', 'k9']);
SELECT * FROM task_create_many('q', ARRAY['1']::jsonb[], slot_keys => ARRAY['k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7', 'k8', 'k9']);
SELECT * FROM task_create('q', slot_keys => '{{k1},{k2}}');
SELECT * FROM task_create('q', slot_keys => array_fill('k'::text, ARRAY[1000]));
SELECT * FROM task_create('q', slot_keys => ARRAY[repeat('x', 10000000)]);
SELECT * FROM task_create('q', slot_keys => '{k1,k2,k1}');
SELECT * FROM task_create_many('q', ARRAY['1']::jsonb[], slot_keys => '{k1,k1}');
SELECT * FROM task_create_many('q', ARRAY['1']::jsonb[], slot_keys => '{k1,NULL}');
SELECT outcome, state FROM task_create('q', key => 'eight', slot_keys => ARRAY['k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7', 'k8']);
SELECT slot_keys FROM task_get_by_key('q', 'eight');
SELECT workflow_define('flow', one_step('{"slot_keys": ["k1", "k1"]}'));
SELECT workflow_define('flow', one_step('{"slot_keys": ["k1", null]}'));
-- Slot keys that nobody has set. Names are told apart by case; those of queues are others.
SELECT * FROM task_create('q', slot_keys => ARRAY['K1']);
SELECT * FROM task_create('q', slot_keys => ARRAY['k1', 'q']);
SELECT * FROM task_create('q', slot_keys => ARRAY['gpu']);
SELECT * FROM task_create_many('q', ARRAY['1']::jsonb[], slot_keys => ARRAY['gpu']);
SELECT workflow_define('flow', one_step('{"slot_keys": ["gpu"]}'));
SELECT outcome FROM task_create('q', slot_keys => '{}');
SELECT * FROM task_create('q', slot_keys => ARRAY[NULL]::text[]);

-- Compensations: a queue that is there, at most 1000 of a task, none of a compensation; a token that is the task's.
SELECT * FROM task_register_compensation(:t, :l, 'undo', 'nowhere');
SELECT * FROM task_register_compensation(:t, :l + 1, 'undo', 'nowhere');
SELECT * FROM task_register_compensation(:t, :l + 1, 'undo', 'q');
SELECT queue_create('u');
SELECT task_id AS u FROM task_create('u') \gset
SELECT lease_token AS m FROM task_acquire_lease('u', 'w') \gset
SELECT outcome, count(*), max(compensation_no) FROM generate_series(1, 1000) n, task_register_compensation(:u, :m, 'undo', 'u', to_jsonb(n)) GROUP BY 1;
SELECT * FROM task_register_compensation(:u, :m, 'undo', 'u', '1001');
SELECT * FROM task_register_compensation(:u, :m, 'undo', 'u', '1000');
SELECT outcome FROM task_finalize(:u, :m, 'failed');
SELECT task_id AS c, lease_token AS m FROM task_acquire_lease('u', 'w') \gset
SELECT * FROM task_register_compensation(:c, :m, 'undo', 'u');
SELECT count(*) FROM task_compensations(:u);
SELECT count(*) FROM task_compensations(:c);

-- Runs and groups.
SELECT * FROM task_create_items('q', 'g', ARRAY['1']::jsonb[], run_id => 999999999);
SELECT * FROM task_create_items('q', 'g', ARRAY['1']::jsonb[], successor_queue => 'q');
SELECT * FROM task_create_items('q', 'g', ARRAY['1']::jsonb[], successor => 'g');
SELECT * FROM task_create_items('q', 'g', ARRAY['1']::jsonb[], max_attempts => 0);

-- Ids that cannot be are nobody's.
SELECT outcome FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) id, task_finalize(id, id, 'failed');
SELECT outcome FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) token, task_heartbeat(:t, token);
SELECT count(*) FROM task_events(:t, 9223372036854775807);
SELECT count(*) FROM task_events(:t, -1);
SELECT outcome, count(*) FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) id, task_redrive(id) GROUP BY 1;
SELECT outcome, count(*) FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) id, task_annotate(id, '{}') GROUP BY 1;
SELECT outcome, count(*) FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) token, task_annotate(:t, '{}', token) GROUP BY 1;
SELECT count(*) FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) id, task_annotations(id);
SELECT count(*) FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) id, task_list(run_id => id);
SELECT count(*) FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) token, task_reap_owner('nobody', token);
SELECT count(*) FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) id, queue_redrive('q', after_task_id => id);
SELECT workflow_pause(id, 'c') AS pause, workflow_resume(id, 'c') AS resume, c.outcome AS cancel, workflow_finalize(id, 'failed') AS finalize, workflow_annotate(id, '{}') AS annotate, e.outcome AS append,
    (SELECT count(*) FROM workflow_get(id)) AS get, (SELECT count(*) FROM workflow_steps(id)) AS steps, (SELECT count(*) FROM workflow_events(id)) AS events, workflow_mermaid(id) IS NULL AS no_graph, count(*)
FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808, :t]) id, workflow_cancel(id) c, workflow_append_event(id, 'kind') e GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;
SELECT r.outcome, r.compensation_no, count(*) FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) id, task_register_compensation(id, id, 'undo', 'q') r GROUP BY 1, 2;
SELECT r.outcome, r.compensation_no, count(*) FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808]) token, task_register_compensation(:t, token, 'undo', 'q') r GROUP BY 1, 2;
SELECT count(*) FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808, :t]) id, task_compensations(id);
SELECT count(*) FROM unnest(ARRAY[0, -1, 9223372036854775807, -9223372036854775808, :u]) id, workflow_compensations(id);
SELECT count(*) FROM workflow_events(:r, 9223372036854775807);
SELECT count(*) FROM workflow_events(:r, -9223372036854775808);
-- A run is no task.
SELECT c.outcome, h.outcome, a.outcome, e.outcome FROM task_cancel(:r) c, task_heartbeat(:r, 1) h, task_annotate(:r, '{}') a, task_append_event(:r, 'kind') e;
SELECT (SELECT count(*) FROM task_get(:r)) AS get, (SELECT count(*) FROM task_annotations(:r)) AS annotations, (SELECT count(*) FROM task_compensations(:r)) AS compensations;
SELECT * FROM task_register_compensation(:r, 1, 'undo', 'q');

-- All settings are a superuser's.
CREATE ROLE regress_user;
SET ROLE regress_user;
SET pg_baton.max_payload_bytes = '1MB';
SET pg_baton.max_events_per_task = 1;
SET pg_baton.durable_finalize = off;
RESET ROLE;

-- Nothing was written in a read-only transaction; reading works in it.
BEGIN READ ONLY;
\set VERBOSITY sqlstate
SAVEPOINT s;
SELECT * FROM task_create('q');
ROLLBACK TO s;
SELECT * FROM task_heartbeat(:t, :l);
ROLLBACK TO s;
SELECT * FROM task_acquire_lease('q', 'w');
ROLLBACK TO s;
SELECT * FROM task_annotate(:t, '{"a": 1}');
ROLLBACK TO s;
SELECT * FROM task_redrive(:t);
ROLLBACK TO s;
SELECT * FROM queue_redrive('q');
ROLLBACK TO s;
SELECT * FROM task_reap_owner('w', 9007199254740991);
ROLLBACK TO s;
SELECT queue_pause('q');
ROLLBACK TO s;
SELECT queue_resume('q');
ROLLBACK TO s;
SELECT queue_drop('q');
ROLLBACK TO s;
SELECT * FROM baton_purge('0');
ROLLBACK TO s;
SELECT workflow_define('flow', one_step());
ROLLBACK TO s;
SELECT * FROM workflow_start(definition => one_step());
ROLLBACK TO s;
SELECT workflow_pause(:r, 'by hand');
ROLLBACK TO s;
SELECT workflow_resume(:r, 'by hand');
ROLLBACK TO s;
SELECT * FROM workflow_cancel(:r);
ROLLBACK TO s;
SELECT workflow_finalize(:r, 'completed');
ROLLBACK TO s;
SELECT workflow_annotate(:r, '{"b": 1}');
ROLLBACK TO s;
SELECT * FROM workflow_append_event(:r, 'kind');
ROLLBACK TO s;
SELECT slot_set('k1', 2);
ROLLBACK TO s;
SELECT * FROM task_register_compensation(:t, :l, 'undo', 'q');
ROLLBACK TO s;
\set VERBOSITY verbose
SELECT state FROM task_get(:t);
SELECT kind FROM task_events(:t);
SELECT state FROM task_get_by_key('q', 'k');
SELECT * FROM task_items(1, 'g');
SELECT count(*) FROM task_list('q', '{running}');
SELECT count(*) FROM task_annotations(:t);
SELECT state FROM workflow_get(:r);
SELECT step, state FROM workflow_steps(:r);
SELECT count(*) FROM workflow_events(:r);
SELECT workflow_mermaid(:r) LIKE '%flowchart%' AS drawn;
SELECT steps, tasks FROM baton.workflow_progress;
SELECT compensation_no, state FROM task_compensations(:u) ORDER BY 1 DESC LIMIT 2;
SELECT count(*) FROM workflow_compensations(:r);
SELECT slot_key, capacity, holders FROM baton.slot_usage WHERE slot_key = 'k1';
SELECT * FROM baton_check(true);
COMMIT;

SELECT state, last_seq FROM task_get(:t);
SELECT left(name, 5) AS name, count(*) FROM baton.task GROUP BY 1 ORDER BY 1;
SELECT count(*) AS runs FROM baton.run;
SELECT count(*) AS keys FROM baton.slot_key;
SELECT DISTINCT task_id = :u AS registered FROM baton.compensation;
SELECT left(name, 5) AS name, count(*) FROM baton.workflow GROUP BY 1 ORDER BY 1;

-- The number of elements is checked before any is copied; one dimension.
SELECT * FROM task_heartbeat_many(array_fill(1::bigint, ARRAY[10000000]), '{1}');
SELECT * FROM task_create_many('default', array_fill('1'::jsonb, ARRAY[3000000]));
SELECT * FROM task_create_many('default', '{{1,2},{3,4}}');
SELECT * FROM task_create_many('default', '{1}', keys => ARRAY[repeat('x', 10000000)]);
SELECT * FROM task_create(repeat('x', 100000000));
SELECT * FROM task_finalize(1, 1, repeat('x', 100000000));

SELECT * FROM baton_check(true);
