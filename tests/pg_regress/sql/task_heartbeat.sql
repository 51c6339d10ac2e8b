-- task_heartbeat, task_heartbeat_many: their outcomes in order of precedence.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT * FROM task_heartbeat(999999999, 1);
SELECT task_id AS t FROM task_create('q') \gset
SELECT * FROM task_heartbeat(:t, 1);
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '10 s') \gset
SELECT * FROM task_heartbeat(:t, :l + 1);
SELECT heartbeat_at FROM task_get(:t);
-- extended: by the queue's lease_ttl, or by ttl
SELECT outcome, lease_expires_at BETWEEN clock_timestamp() + interval '50 s' AND clock_timestamp() + interval '60 s' AS queue_ttl, cancel_requested FROM task_heartbeat(:t, :l);
SELECT outcome, lease_expires_at > clock_timestamp() + interval '50 min' AS own_ttl FROM task_heartbeat(:t, :l, '1 h');
SELECT heartbeat_at IS NOT NULL AS beat FROM task_get(:t);
-- not_extended: the expiry would not move forward; the lease is still held until then
SELECT outcome, lease_expires_at > clock_timestamp() + interval '50 min' AS still_held, cancel_requested FROM task_heartbeat(:t, :l, '1 s');
SELECT lease_expires_at > clock_timestamp() + interval '50 min' AS unchanged FROM task_get(:t);
-- No event is written.
SELECT seq, kind FROM task_events(:t);
-- The worker learns that somebody asked to cancel.
SELECT outcome FROM task_cancel(:t);
SELECT outcome, cancel_requested FROM task_heartbeat(:t, :l, '2 h');
SELECT outcome, cancel_requested FROM task_heartbeat(:t, :l, '1 s');
-- terminal
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT outcome, lease_expires_at FROM task_heartbeat(:t, :l);
SELECT outcome, lease_expires_at FROM task_heartbeat(:t, :l + 1);

-- An expired lease is not revived, even when nobody took it yet; then it is lost.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT * FROM task_heartbeat(:t, :l, '1 h');
SELECT lease_expires_at < clock_timestamp() AS expired, heartbeat_at FROM task_get(:t);
SELECT outcome, attempt FROM task_acquire_lease_by_id(:t, 'other');
SELECT * FROM task_heartbeat(:t, :l, '1 h');
-- Released: the token is nobody's.
SELECT lease_token AS l FROM task_get(:t) \gset
SELECT outcome FROM task_release(:t, :l);
SELECT * FROM task_heartbeat(:t, :l);

-- max_runtime: never beyond it, whatever the ttl; then the attempt fails with timed_out.
SELECT queue_create('bounded', lease_ttl => '1 min', max_runtime => '500 ms', max_attempts => 2, backoff_base => '0');
SELECT task_id AS t FROM task_create('bounded') \gset
SELECT lease_token AS l FROM task_acquire_lease('bounded', 'w', '400 ms') \gset
SELECT lease_expires_at = leased_at + interval '400 ms' AS own_ttl FROM task_get(:t);
SELECT outcome, lease_expires_at = (SELECT leased_at + interval '500 ms' FROM task_get(:t)) AS at_max_runtime FROM task_heartbeat(:t, :l, '1 h');
SELECT lease_expires_at = leased_at + interval '500 ms' AS at_max_runtime FROM task_get(:t);
SELECT outcome, lease_expires_at = (SELECT lease_expires_at FROM task_get(:t)) AS until FROM task_heartbeat(:t, :l, '2 h');
SELECT pg_sleep(0.55);
SELECT * FROM task_heartbeat(:t, :l, '1 h');
SELECT outcome FROM task_reap();
SELECT state, attempt, lost_leases FROM task_get(:t);
SELECT seq, kind, body ->> 'attempt' AS attempt, body -> 'error' AS error FROM task_events(:t) WHERE kind = 'retry_scheduled';
-- A lease is never granted beyond it either; the last attempt ends the task.
SELECT task_id = :t AS same_task, lease_expires_at < clock_timestamp() + interval '510 ms' AS bounded, attempt FROM task_acquire_lease('bounded', 'w', '1 h');
SELECT lease_token AS l FROM task_get(:t) \gset
SELECT outcome, lease_expires_at = (SELECT leased_at + interval '500 ms' FROM task_get(:t)) AS bounded FROM task_start(:t, :l, '1 h');
SELECT pg_sleep(0.55);
SELECT outcome FROM task_reap();
SELECT state, reason, attempt, lost_leases FROM task_get(:t);

-- Many: a row each, in the order of the arrays; one that is refused stops no other.
SELECT queue_create('m', lease_ttl => '1 min');
SELECT array_agg(task_id ORDER BY ordinal) AS ids FROM task_create_many('m', array_fill('{}'::jsonb, ARRAY[5])) \gset
SELECT array_agg(lease_token ORDER BY task_id) AS tokens FROM task_acquire_lease('m', 'w', '10 s', 4) \gset
SELECT outcome FROM task_finalize((:'ids'::bigint[])[1], (:'tokens'::bigint[])[1], 'completed');
SELECT outcome FROM task_cancel((:'ids'::bigint[])[2]);
SELECT ordinal, array_position(:'ids'::bigint[], task_id) AS task, outcome, lease_expires_at > clock_timestamp() + interval '50 s' AS extended, cancel_requested
FROM task_heartbeat_many((:'ids'::bigint[])[5:5] || (:'ids'::bigint[])[4:4] || 999999999::bigint || (:'ids'::bigint[])[3:3] || (:'ids'::bigint[])[1:2] || (:'ids'::bigint[])[4:4],
                         1::bigint || (:'tokens'::bigint[])[4:4] || 1::bigint || 0::bigint || (:'tokens'::bigint[])[1:2] || (:'tokens'::bigint[])[4:4]);
SELECT ordinal, outcome FROM task_heartbeat_many((:'ids'::bigint[])[2:3], (:'tokens'::bigint[])[2:3], '1 s');
SELECT * FROM task_heartbeat_many('{}', '{}');
SELECT * FROM task_heartbeat_many('{1,2}', '{1}');
SELECT * FROM task_heartbeat_many('{1,NULL}', '{1,2}');
SELECT * FROM task_heartbeat_many(array_fill(1::bigint, ARRAY[1001]), array_fill(1::bigint, ARRAY[1001]));
SELECT * FROM task_heartbeat_many('{1}', '{1}', '1 ms');

SELECT * FROM baton_check(true);
