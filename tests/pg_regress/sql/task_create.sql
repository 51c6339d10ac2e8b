-- task_create: outcomes, what a new task looks like, and the queue that exists after install.

-- The queue "default" is there without being created.
SELECT outcome, task_id > 0 AS has_id, state FROM task_create('default');
SELECT queue, name, key, state, reason, priority, run_at IS NULL AS no_run_at, attempt, max_attempts, lost_leases,
       owner, lease_token, payload, result, error, metadata, run_id, item_index, slot_keys, redrive_of, last_seq,
       created_at <= clock_timestamp() AS created, finalized_at
FROM (SELECT task_id FROM baton.task) t, LATERAL task_get(t.task_id) \gx
SELECT queue, ready, live_leases FROM baton.queue_stats;

-- By name and with everything given.
SELECT queue_create('mail', max_attempts => 7);
SELECT outcome, state
FROM task_create(queue => 'mail', payload => '{"to": "a"}', name => 'send', key => 'k1', priority => 3, run_at => NULL,
                 max_attempts => 2, slot_keys => NULL, metadata => '{"team": "billing"}');
SELECT queue, name, key, state, priority, max_attempts, payload, metadata FROM task_get_by_key('mail', 'k1');

-- Without max_attempts, the queue's.
SELECT outcome FROM task_create('mail', key => 'k2');
SELECT max_attempts FROM task_get_by_key('mail', 'k2');

-- A key is taken: the same payload (as jsonb, not as text), or another one; the task stays as it is.
SELECT task_id AS k1 FROM task_get_by_key('mail', 'k1') \gset
SELECT outcome, task_id = :k1 AS same_task, state FROM task_create('mail', '{ "to" : "a" }', key => 'k1');
SELECT outcome, task_id = :k1 AS same_task, state FROM task_create('mail', '{"to": "b"}', key => 'k1', priority => 9);
SELECT payload, priority, name FROM task_get(:k1);
-- Other columns are no part of "the same".
SELECT outcome, task_id = :k1 AS same_task FROM task_create('mail', '{"to": "a"}', name => 'other', key => 'k1', metadata => '{"x": 1}');
-- Another queue has keys of its own; a task without a key is always a new one.
SELECT outcome FROM task_create('default', '{"to": "a"}', key => 'k1');
SELECT outcome FROM task_create('mail', '{"same": 1}') UNION ALL SELECT outcome FROM task_create('mail', '{"same": 1}');
-- A key stays taken when its task is running, and when it has ended; the answer tells the state.
SELECT lease_token AS token FROM task_acquire_lease_by_id(:k1, 'w') \gset
SELECT outcome, state FROM task_create('mail', '{"to": "a"}', key => 'k1');
SELECT outcome FROM task_finalize(:k1, :token, 'completed');
SELECT outcome, task_id = :k1 AS same_task, state FROM task_create('mail', '{"to": "a"}', key => 'k1');
SELECT outcome, task_id = :k1 AS same_task, state FROM task_create('mail', '{"to": "b"}', key => 'k1');

-- A time in the future makes it scheduled; one in the past does not.
SELECT outcome, state FROM task_create('mail', key => 'later', run_at => clock_timestamp() + interval '1 hour');
SELECT state, run_at > clock_timestamp() + interval '59 min' AS run_at_kept FROM task_get_by_key('mail', 'later');
SELECT outcome, state FROM task_create('mail', '{}', key => 'later');
SELECT outcome, state FROM task_create('mail', key => 'earlier', run_at => '2001-01-01');
SELECT outcome, state FROM task_create('mail', key => 'soon', run_at => clock_timestamp() + interval '150 ms');
SELECT pg_sleep(0.2);
-- Due now: the next acquire makes it ready, and finds it.
SELECT outcome, state FROM task_create('mail', '{}', key => 'soon');
SELECT count(*) FILTER (WHERE key = 'soon') AS soon, count(*) FILTER (WHERE key = 'later') AS later FROM task_acquire_lease('mail', 'w', max_tasks => 100);

-- All payloads that jsonb knows.
SELECT p, (SELECT outcome FROM task_create('mail', p)) FROM unnest(ARRAY['null', '1.50', '"text"', '[]', 'true']::jsonb[]) p;

-- With slot keys: ready with a slot of each, or blocked and without any; scheduled, it has none either. In the order in which they are given.
SELECT slot_set('gpu', 1), slot_set('licence', 5);
SELECT outcome, state FROM unnest(ARRAY['with slots', 'without']) key, task_create('mail', '{}', key => key, slot_keys => '{licence,gpu}');
SELECT outcome, state FROM task_create('mail', key => 'with slots later', run_at => clock_timestamp() + interval '1 hour', slot_keys => '{gpu}');
SELECT key, state, slot_keys, (SELECT count(*) FROM baton.slot WHERE holder = task_id) AS slots FROM task_list('mail') WHERE slot_keys IS NOT NULL ORDER BY task_id;
-- A key that is taken takes no slot.
SELECT outcome, state FROM task_create('mail', '{}', key => 'with slots', slot_keys => '{licence}');
SELECT outcome, state FROM task_create('mail', '{"other": 1}', key => 'without');
SELECT slot_key, capacity, holders, waiters FROM baton.slot_usage ORDER BY 1;
-- No keys are none.
SELECT outcome, state FROM task_create('mail', key => 'no keys', slot_keys => '{}');
SELECT slot_keys IS NULL AS none FROM task_get_by_key('mail', 'no keys');

-- Names are data.
SELECT outcome FROM task_create('mail', '{}', name => $$a'b"c; --$$, key => E'\u00e4 \\ %s');
SELECT name, key FROM task_get_by_key('mail', E'\u00e4 \\ %s');
SELECT queue_create($$o'quo"te$$);
SELECT outcome FROM task_create($$o'quo"te$$);
-- "default" has its settings even though nobody made it.
SELECT max_attempts FROM task_get_by_key('default', 'k1');

SELECT * FROM baton_check(true);
