-- task_finalize: its outcomes in order of precedence, its replays, and what remains.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT * FROM task_finalize(999999999, 1, 'completed');
SELECT task_id AS t FROM task_create('q', '{"n": 1}') \gset
-- lease_lost: nobody holds it, or another token
SELECT outcome, state, finalized_at, dispatched FROM task_finalize(:t, 1, 'completed');
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome, state, finalized_at, dispatched FROM task_finalize(:t, :l + 1, 'completed');
SELECT outcome, state FROM task_finalize(:t, :l - 1, 'completed');
-- finalized
SELECT outcome, state, finalized_at AS at, dispatched FROM task_finalize(:t, :l, 'completed', '{"sum": 3}', '{"warning": 1}', 'done early') \gset
SELECT :'outcome' AS outcome, :'state' AS state, :'dispatched' AS dispatched, :'at' <= clock_timestamp() AS at;
SELECT state, reason, result, error, owner, lease_token, lease_expires_at, leased_at IS NOT NULL AS leased, attempt, finalized_at = :'at' AS finalized, last_seq FROM task_get(:t);
SELECT seq, kind, body, lease_token = :l AS token FROM task_events(:t);
-- already_finalized: the same token and values, as jsonb; the first answer's time
SELECT outcome, state, finalized_at = :'at' AS same_time, dispatched FROM task_finalize(:t, :l, 'completed', '{ "sum":3 }', '{"warning": 1}', 'done early');
-- already_finalized_differently: state, result, error or reason
SELECT outcome, state, finalized_at = :'at' AS same_time FROM task_finalize(:t, :l, 'failed', '{"sum": 3}', '{"warning": 1}', 'done early');
SELECT outcome, state FROM task_finalize(:t, :l, 'completed', '{"sum": 4}', '{"warning": 1}', 'done early');
SELECT outcome, state FROM task_finalize(:t, :l, 'completed', NULL, '{"warning": 1}', 'done early');
SELECT outcome, state FROM task_finalize(:t, :l, 'completed', '{"sum": 3}', NULL, 'done early');
SELECT outcome, state FROM task_finalize(:t, :l, 'completed', '{"sum": 3}', '{"warning": 1}');
-- terminal: another token
SELECT outcome, state FROM task_finalize(:t, :l + 1, 'completed', '{"sum": 3}', '{"warning": 1}', 'done early');
SELECT state, result FROM task_get(:t);

-- Each state; NULL is not JSON's null.
SELECT outcome FROM unnest(ARRAY['completed', 'failed', 'cancelled', 'quarantined']) state, task_create('q', to_jsonb(state));
SELECT payload AS reported, outcome, state FROM task_acquire_lease('q', 'w', max_tasks => 4) l, task_finalize(l.task_id, l.lease_token, payload ->> 0);
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_finalize(:t, :l, 'completed', 'null');
SELECT outcome FROM task_finalize(:t, :l, 'completed', 'null');
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT result, result IS NULL AS is_null FROM task_get(:t);
-- The reason of a cancelled one, if none is given.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_finalize(:t, :l, 'cancelled');
SELECT outcome FROM task_finalize(:t, :l, 'cancelled');
SELECT state, reason FROM task_get(:t);

-- No other state.
SELECT * FROM task_finalize(:t, :l, 'compensated');
SELECT * FROM task_finalize(:t, :l, 'running');
SELECT * FROM task_finalize(:t, :l, 'Completed');

-- An expired lease whose token is still the current one may finalize ...
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome FROM task_heartbeat(:t, :l);
SELECT outcome, state FROM task_finalize(:t, :l, 'completed');
-- ... but not once it was taken or reaped.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'slow', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT outcome, state FROM task_finalize(:t, :l, 'completed');
SELECT lease_token AS l2 FROM task_acquire_lease('q', 'quick') \gset
SELECT outcome, state FROM task_finalize(:t, :l, 'completed', '"slow"');
SELECT outcome, state FROM task_finalize(:t, :l2, 'completed', '"quick"');
SELECT outcome, state FROM task_finalize(:t, :l, 'completed', '"quick"');
SELECT state, result FROM task_get(:t);

-- terminal: somebody else ended it, the state tells how
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_cancel(:t, force => true);
SELECT outcome, state, finalized_at IS NOT NULL AS at FROM task_finalize(:t, :l, 'completed');
SELECT outcome, state FROM task_finalize(:t, :l, 'cancelled', reason => 'forced');
-- After a cancel was requested, any state is accepted.
SELECT outcome FROM unnest(ARRAY['completed', 'failed', 'cancelled', 'quarantined']) state, task_create('q', to_jsonb(state));
SELECT payload AS reported, c.outcome, f.outcome, f.state
FROM task_acquire_lease('q', 'w', max_tasks => 4) l, task_cancel(l.task_id, l.payload ->> 0) c, task_finalize(l.task_id, CASE WHEN c.outcome IS NOT NULL THEN l.lease_token END, payload ->> 0) f;
SELECT kind FROM task_events((SELECT max(task_id) FROM baton.task));

SELECT * FROM baton_check(true);
