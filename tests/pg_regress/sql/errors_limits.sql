-- Bad values and limits: the error names the argument and what is allowed, and nothing is written.

SELECT queue_create('q');
SELECT task_id AS t FROM task_create('q', key => 'k') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset

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

-- States: names of an enumeration, in one dimension, at most 1000.
SELECT * FROM task_list(states => '{finished}');
SELECT * FROM task_list(states => array_fill('ready'::text, ARRAY[1001]));
SELECT * FROM task_list(states => ARRAY[repeat('x', 10000000)]);
SELECT * FROM queue_redrive('q', '{running}');
SELECT * FROM queue_redrive('q', '{completed}');
SELECT * FROM baton_purge('0', states => '{failed,running}');
SELECT * FROM baton_purge('0', states => '{{failed},{cancelled}}');
SELECT queue_create('new', on_final_queue => 'q', on_final_states => '{scheduled}');
SELECT queue_create('new', on_final_queue => 'q', on_final_states => array_fill('failed'::text, ARRAY[1001]));
SELECT queue_alter('q', on_final_queue => 'q', on_final_states => '{}');

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
\set VERBOSITY verbose
RESET pg_baton.max_payload_bytes;
SHOW pg_baton.max_payload_bytes;
SELECT outcome FROM task_create('q', to_jsonb(repeat('x', 256 * 1024 - 100)));
SELECT outcome FROM task_create('q', to_jsonb(repeat('x', 256 * 1024)));

-- Slot keys that nobody has set.
SELECT * FROM task_create('q', slot_keys => ARRAY['gpu']);
SELECT * FROM task_create_many('q', ARRAY['1']::jsonb[], slot_keys => ARRAY['gpu']);
SELECT outcome FROM task_create('q', slot_keys => '{}');
SELECT * FROM task_create('q', slot_keys => ARRAY[NULL]::text[]);

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
\set VERBOSITY verbose
SELECT state FROM task_get(:t);
SELECT kind FROM task_events(:t);
SELECT state FROM task_get_by_key('q', 'k');
SELECT * FROM task_items(1, 'g');
SELECT count(*) FROM task_list('q', '{running}');
SELECT count(*) FROM task_annotations(:t);
SELECT * FROM baton_check(true);
COMMIT;

SELECT state, last_seq FROM task_get(:t);
SELECT left(name, 5) AS name, count(*) FROM baton.task GROUP BY 1 ORDER BY 1;
SELECT count(*) AS runs FROM baton.run;

-- The number of elements is checked before any is copied; one dimension.
SELECT * FROM task_heartbeat_many(array_fill(1::bigint, ARRAY[10000000]), '{1}');
SELECT * FROM task_create_many('default', array_fill('1'::jsonb, ARRAY[3000000]));
SELECT * FROM task_create_many('default', '{{1,2},{3,4}}');
SELECT * FROM task_create_many('default', '{1}', keys => ARRAY[repeat('x', 10000000)]);
SELECT * FROM task_create(repeat('x', 100000000));
SELECT * FROM task_finalize(1, 1, repeat('x', 100000000));

SELECT * FROM baton_check(true);
