-- task_acquire_lease_by_id: its outcomes in order of precedence.

SELECT queue_create('q', max_lost_leases => 2, lease_ttl => '1 min');

-- not_found
SELECT * FROM task_acquire_lease_by_id(999999999, 'w');

-- acquired
SELECT task_id AS t FROM task_create('q', '{"n": 1}') \gset
SELECT outcome, state, lease_token > 0 AS token, lease_expires_at > clock_timestamp() + interval '50 s' AS queue_ttl, attempt, payload FROM task_acquire_lease_by_id(:t, 'anna');
-- held: by whom and until when, even for the holder itself; no token
SELECT outcome, state, lease_token, lease_expires_at = (SELECT lease_expires_at FROM task_get(:t)) AS until, held_by, payload FROM task_acquire_lease_by_id(:t, 'ben');
SELECT outcome, state, lease_token, held_by FROM task_acquire_lease_by_id(:t, 'anna');
-- terminal
SELECT lease_token AS l FROM task_get(:t) \gset
SELECT outcome FROM task_finalize(:t, :l, 'failed');
SELECT outcome, state, lease_token, lease_expires_at, attempt, held_by, payload FROM task_acquire_lease_by_id(:t, 'anna');

-- not_ready: scheduled (until it is due), blocked
SELECT task_id AS t FROM task_create('q', run_at => clock_timestamp() + interval '300 ms') \gset
SELECT outcome, state, lease_token FROM task_acquire_lease_by_id(:t, 'anna');
SELECT pg_sleep(0.35);
SELECT outcome, state, attempt FROM task_acquire_lease_by_id(:t, 'anna');
SELECT max(task_id) AS blocked FROM task_create_items('q', 'g', ARRAY['1', '2']::jsonb[], max_parallel => 1) \gset
SELECT outcome, state, lease_token FROM task_acquire_lease_by_id(:blocked, 'anna');

-- Somebody else's expired lease may be taken: it counts as lost.
SELECT task_id AS t FROM task_create('q') \gset
SELECT outcome, lease_token AS l1 FROM task_acquire_lease_by_id(:t, 'anna', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome, lease_token AS l2, attempt FROM task_acquire_lease_by_id(:t, 'ben', '100 ms') \gset
SELECT :'outcome' AS outcome, :attempt AS attempt, :l2 > :l1 AS token_grows;
SELECT owner, attempt, lost_leases FROM task_get(:t);
-- The same once too often (max_lost_leases is 2): the task ends.
SELECT pg_sleep(0.12);
SELECT outcome, state, lease_token FROM task_acquire_lease_by_id(:t, 'anna');
SELECT state, reason, attempt, lost_leases FROM task_get(:t);
SELECT seq, kind, body FROM task_events(:t);

-- One's own expired lease counts no loss, however often, ...
SELECT task_id AS t FROM task_create('q') \gset
SELECT outcome, attempt FROM task_acquire_lease_by_id(:t, 'anna', '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome, attempt FROM task_acquire_lease_by_id(:t, 'anna', '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome, attempt FROM task_acquire_lease_by_id(:t, 'anna', '100 ms');
SELECT lost_leases, attempt FROM task_get(:t);
SELECT pg_sleep(0.12);
-- ... and also when one more loss would have been too many.
SELECT outcome, attempt FROM task_acquire_lease_by_id(:t, 'ben', '100 ms');
SELECT lost_leases, attempt FROM task_get(:t);
SELECT pg_sleep(0.12);
SELECT outcome, state, attempt FROM task_acquire_lease_by_id(:t, 'ben', '100 ms');
SELECT state, reason, lost_leases FROM task_get(:t);

-- A task whose cancel was requested ends when its lease has run out.
SELECT task_id AS t FROM task_create('q') \gset
SELECT outcome FROM task_acquire_lease_by_id(:t, 'anna', '300 ms');
SELECT outcome FROM task_cancel(:t, 'not needed');
SELECT outcome, state FROM task_acquire_lease_by_id(:t, 'anna');
SELECT pg_sleep(0.35);
SELECT outcome, state FROM task_acquire_lease_by_id(:t, 'ben');
SELECT state, reason FROM task_get(:t);

-- It is out of line: nobody finds it there.
SELECT task_id AS t FROM task_create('q', '"by id"') \gset
SELECT outcome FROM task_acquire_lease_by_id(:t, 'anna');
SELECT count(*) FILTER (WHERE payload = '"by id"') FROM task_acquire_lease('q', 'w', max_tasks => 100);

SELECT * FROM baton_check(true);
