-- task_release: a lease is given back unused.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT * FROM task_release(999999999, 1);
SELECT task_id AS t FROM task_create('q') \gset
SELECT * FROM task_release(:t, 1);
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT * FROM task_release(:t, :l + 1);
-- At once; it counts neither as an attempt nor as a loss.
SELECT outcome, run_at AS run_at FROM task_release(:t, :l) \gset
SELECT :'outcome' AS outcome, :'run_at' <= clock_timestamp() AS now;
SELECT state, attempt, lost_leases, owner, lease_token, lease_expires_at, started_at FROM task_get(:t);
SELECT seq, kind, body - 'run_at' AS body, body ? 'run_at' AS run_at, lease_token = :l AS token FROM task_events(:t);
-- A replay repeats the first answer, even while somebody else holds the task.
SELECT outcome, run_at = :'run_at' AS same_time FROM task_release(:t, :l);
SELECT lease_token AS l2, attempt FROM task_acquire_lease('q', 'w2') \gset
SELECT :attempt AS attempt;
SELECT outcome, run_at = :'run_at' AS same_time FROM task_release(:t, :l, '1 h');
SELECT state, owner FROM task_get(:t);
SELECT outcome FROM task_finalize(:t, :l, 'completed');

-- With a delay.
SELECT outcome, run_at BETWEEN clock_timestamp() + interval '59 min' AND clock_timestamp() + interval '1 h' AS an_hour FROM task_release(:t, :l2, '1 h');
SELECT state, attempt, run_at > clock_timestamp() AS later FROM task_get(:t);
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT outcome FROM task_cancel(:t);
SELECT outcome, state FROM task_acquire_lease_by_id(:t, 'w');
SELECT * FROM task_release(:t, 999999999);
-- A replay repeats the first answer, whatever has become of the task.
SELECT outcome, run_at > clock_timestamp() AS later FROM task_release(:t, :l2, '1 h');

-- Started work, and unless_started.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_start(:t, :l);
SELECT * FROM task_release(:t, :l, unless_started => true);
SELECT state, owner FROM task_get(:t);
SELECT outcome FROM task_release(:t, :l);
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome, run_at <= clock_timestamp() AS now FROM task_release(:t, :l, '0', true);
SELECT outcome, run_at <= clock_timestamp() AS now FROM task_release(:t, :l, '0', true);
SELECT lost_leases, attempt FROM task_get(:t);

-- After a cancel was requested the task ends; cancelled goes before started.
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_start(:t, :l);
SELECT outcome FROM task_cancel(:t, 'enough');
SELECT * FROM task_release(:t, :l, '1 h', true);
SELECT state, reason FROM task_get(:t);
SELECT * FROM task_release(:t, :l, '1 h', true);
SELECT * FROM task_release(:t, :l + 1);
SELECT kind FROM task_events(:t) ORDER BY seq DESC LIMIT 2;
-- Ended by its own finalize is not a release.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT * FROM task_release(:t, :l);
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_finalize(:t, :l, 'cancelled');
SELECT * FROM task_release(:t, :l);

-- An expired lease whose token is still the current one may be released; one that was taken may not.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome FROM task_release(:t, :l);
SELECT attempt, lost_leases FROM task_get(:t);
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT * FROM task_release(:t, :l);
-- Failed is not released.
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_fail_attempt(:t, :l, retry_after => '0');
SELECT * FROM task_release(:t, :l);

SELECT * FROM task_release(:t, :l, '-1 s');
SELECT * FROM task_release(:t, :l, '100 years');

SELECT * FROM baton_check(true);
