-- task_fail_attempt: retries with backoff, their end, and replays.

SELECT queue_create('q', lease_ttl => '1 min', max_attempts => 3, backoff_base => '10 s', backoff_max => '30 s');
SELECT * FROM task_fail_attempt(999999999, 1);
SELECT task_id AS t FROM task_create('q') \gset
SELECT * FROM task_fail_attempt(:t, 1);
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT * FROM task_fail_attempt(:t, :l + 1);
-- The queue's backoff: with jitter, never longer than it says.
SELECT outcome, state, run_at AS run_at FROM task_fail_attempt(:t, :l, '{"message": "timeout"}') \gset
SELECT :'outcome' AS outcome, :'state' AS state, :'run_at' BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 s' AS in_bounds;
SELECT state, attempt, lost_leases, owner, lease_token, run_at = :'run_at' AS run_at, error FROM task_get(:t);
SELECT seq, kind, body - 'run_at' AS body, body ? 'run_at' AS run_at, lease_token = :l AS token FROM task_events(:t);
-- A replay repeats the first answer and changes nothing, also when it says something else.
SELECT outcome, state, run_at = :'run_at' AS same_time FROM task_fail_attempt(:t, :l, '{"message": "timeout"}');
SELECT outcome, state, run_at = :'run_at' AS same_time FROM task_fail_attempt(:t, :l, NULL, '1 h');
SELECT attempt, last_seq FROM task_get(:t);
-- Not yet due.
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT outcome, state FROM task_acquire_lease_by_id(:t, 'w');

-- retry_after instead; 0 is at once.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome, state, run_at BETWEEN clock_timestamp() + interval '59 min' AND clock_timestamp() + interval '1 h' AS an_hour FROM task_fail_attempt(:t, :l, retry_after => '1 h');
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome, state, run_at <= clock_timestamp() AS now FROM task_fail_attempt(:t, :l, '"first"', '0');
SELECT outcome, state, run_at <= clock_timestamp() AS now FROM task_fail_attempt(:t, :l, '"first"', '0');
SELECT lease_token AS l2, attempt FROM task_acquire_lease('q', 'w') \gset
SELECT :attempt AS attempt;
-- The replay of the first attempt while the second runs.
SELECT outcome, state FROM task_fail_attempt(:t, :l, '"first"', '0');
SELECT state, attempt FROM task_get(:t);
SELECT outcome, state FROM task_fail_attempt(:t, :l2, '"second"', '0');
-- The third is the last (max_attempts is 3): it ends the task, whatever retry_after says.
SELECT lease_token AS l3, attempt FROM task_acquire_lease('q', 'w') \gset
SELECT :attempt AS attempt;
SELECT * FROM task_fail_attempt(:t, :l3, '"third"', '0');
SELECT state, reason, error, result, attempt, owner, lease_token FROM task_get(:t);
SELECT seq, kind, CASE WHEN kind = 'retry_scheduled' THEN body - 'run_at' ELSE body END AS body FROM task_events(:t);
-- Replays: the same, and something else; the attempts before still have their first answers.
SELECT * FROM task_fail_attempt(:t, :l3, '"third"', '0');
SELECT * FROM task_fail_attempt(:t, :l3, '"other"', '0');
SELECT outcome, state FROM task_fail_attempt(:t, :l, '"first"', '0');
SELECT * FROM task_fail_attempt(:t, 999999999);
-- Reported as completed and as failed by the same token: that is not the same.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT outcome, state FROM task_fail_attempt(:t, :l);
SELECT outcome, state FROM task_fail_attempt(:t, :l, '"x"');

-- Backoff doubles from backoff_base up to backoff_max.
SELECT queue_create('backoff', max_attempts => 8, backoff_base => '1 h', backoff_max => '20 h');
CREATE TABLE delay (attempt int, delay interval);
DO $$
DECLARE t bigint; l bigint; n int;
BEGIN
    FOR i IN 1..10 LOOP
        FOR failures IN 1..7 LOOP
            t := (SELECT task_id FROM task_create('backoff'));
            FOR attempt IN 1..failures LOOP
                SELECT a.lease_token, a.attempt INTO l, n FROM task_acquire_lease_by_id(t, 'w') a;
                IF attempt < failures THEN
                    PERFORM task_fail_attempt(t, l, retry_after => '0');
                ELSE
                    INSERT INTO delay SELECT n, run_at - clock_timestamp() FROM task_fail_attempt(t, l);
                END IF;
            END LOOP;
        END LOOP;
    END LOOP;
END $$;
SELECT attempt, min(delay) > upper / 2 - interval '1 min' AND max(delay) <= upper AS in_bounds, count(DISTINCT delay) > 5 AS jitter
FROM delay, LATERAL (SELECT least(interval '1 h' * 2 ^ (attempt - 1), '20 h') AS upper) u GROUP BY attempt, upper ORDER BY attempt;

-- After a cancel was requested it ends cancelled.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_cancel(:t, 'changed my mind');
SELECT * FROM task_fail_attempt(:t, :l, '"gave up"');
SELECT state, reason, error FROM task_get(:t);
SELECT * FROM task_fail_attempt(:t, :l, '"gave up"');
SELECT * FROM task_fail_attempt(:t, :l, '"other"');

-- An expired lease whose token is still the current one may report; one that was taken may not.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome, state FROM task_fail_attempt(:t, :l, retry_after => '0');
SELECT attempt, lost_leases FROM task_get(:t);
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT outcome, state FROM task_fail_attempt(:t, :l, retry_after => '0');
SELECT attempt, lost_leases FROM task_get(:t);
-- Released is not failed.
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_release(:t, :l);
SELECT outcome, state FROM task_fail_attempt(:t, :l);

-- An attempt that a reap has ended with timed_out was not reported by its worker: the lease is lost, not the report repeated.
SELECT queue_create('slow', max_runtime => '100 ms', backoff_base => '0');
SELECT task_id AS t FROM task_create('slow') \gset
SELECT lease_token AS l FROM task_acquire_lease('slow', 'w') \gset
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT * FROM task_fail_attempt(:t, :l, '"too late"');

SELECT * FROM task_fail_attempt(:t, :l, retry_after => '-1 s');
SELECT * FROM task_fail_attempt(:t, :l, retry_after => '100 years');

SELECT * FROM baton_check(true);
