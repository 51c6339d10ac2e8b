-- task_register_compensation: outcomes in their order, numbers, who may, and what remains of it.

SELECT queue_create('q', lease_ttl => '1 h');
SELECT queue_create('undo');
SELECT queue_create('other');

-- not_found, terminal, lease_lost.
SELECT * FROM task_register_compensation(999999999, 1, 'refund', 'undo');
SELECT * FROM task_register_compensation(0, 0, 'refund', 'undo');
SELECT task_id AS t FROM task_create('q') \gset
SELECT * FROM task_register_compensation(:t, 1, 'refund', 'undo');
SELECT lease_token AS k FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT * FROM task_register_compensation(:t, :k + 1, 'refund', 'undo');
SELECT outcome FROM task_finalize(:t, :k, 'completed');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo');
SELECT * FROM task_register_compensation(:t, :k + 1, 'refund', 'undo');
SELECT count(*) FROM task_compensations(:t);

-- registered, numbered from 1 for each task; exists: same name and payload, wherever it is to be run.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS k FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT * FROM task_register_compensation(task_id => :t, lease_token => :k, name => 'refund', queue => 'undo', payload => '{"payment": 7}');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo', '{"payment": 8}');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo');
SELECT * FROM task_register_compensation(:t, :k, 'release seat', 'q', '{"payment": 7}');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo', '{ "payment" : 7.0 }');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'other', '{"payment": 8}');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo', '{}');
SELECT * FROM task_register_compensation(:t, :k, 'Refund', 'undo', 'null');
SELECT * FROM task_compensations(:t);
SELECT seq, kind, body, lease_token = :k AS token FROM task_events(:t);
SELECT last_seq, state, attempt FROM task_get(:t);
SELECT task_id AS t2 FROM task_create('q') \gset
SELECT r.* FROM task_acquire_lease_by_id(:t2, 'w') l, task_register_compensation(:t2, l.lease_token, 'refund', 'undo', '{"payment": 7}') r;

-- A later lease goes on counting, and knows what was registered before; the old lease registers nothing more.
SELECT outcome, state FROM task_fail_attempt(:t, :k, retry_after => '0');
SELECT lease_token AS k2 FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo', '{"payment": 9}');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo', '{"payment": 7}');
SELECT * FROM task_register_compensation(:t, :k2, 'refund', 'undo', '{"payment": 7}');
SELECT * FROM task_register_compensation(:t, :k2, 'refund', 'undo', '{"payment": 9}');
SELECT outcome FROM task_release(:t, :k2);
SELECT * FROM task_register_compensation(:t, :k2, 'refund', 'undo', '{"payment": 10}');
SELECT lease_token AS k3 FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT * FROM task_register_compensation(:t, :k3, 'refund', 'undo', '{"payment": 10}');
SELECT compensation_no, name, task_id, state FROM task_compensations(:t);
-- All of them are good for nothing when it completes.
SELECT outcome, state, dispatched FROM task_finalize(:t, :k3, 'completed');
SELECT count(*), min(state) AS state, count(task_id) AS tasks FROM task_compensations(:t);
SELECT * FROM task_register_compensation(:t, :k3, 'refund', 'undo', '{"payment": 7}');
SELECT queue, state, count(*) FROM task_list() GROUP BY 1, 2 ORDER BY 1, 2;

-- A lease that has run out, and is still the current one, may: the work is done, whoever comes next must know. One that was lost may not.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS k FROM task_acquire_lease_by_id(:t, 'w', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome FROM task_heartbeat(:t, :k);
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo');
SELECT outcome FROM task_reap();
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo', '1');
SELECT kind FROM task_events(:t);
SELECT r.* FROM task_acquire_lease_by_id(:t, 'w2') l, task_register_compensation(:t, l.lease_token, 'refund', 'undo', '1') r;
-- Asked to stop: what was done is still to be known.
SELECT outcome FROM task_cancel(:t, 'no more');
SELECT r.* FROM task_get(:t) g, task_register_compensation(:t, g.lease_token, 'refund', 'undo', '2') r;
-- A paused queue stops no worker; nor is what is to be undone in one refused.
SELECT queue_pause('q'), queue_pause('undo');
SELECT r.* FROM task_get(:t) g, task_register_compensation(:t, g.lease_token, 'refund', 'undo', '3') r;
SELECT queue_resume('q'), queue_resume('undo');

-- While it is undone: its lease is over.
SELECT lease_token AS k FROM task_get(:t) \gset
SELECT outcome, state FROM task_finalize(:t, :k, 'failed');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo', '4');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo', '3');
-- What undoes something is itself not undone.
SELECT task_id AS c, lease_token AS ck FROM task_acquire_lease('undo', 'w') \gset
SELECT * FROM task_register_compensation(:c, :ck + 1, 'undo the undoing', 'undo');
CREATE FUNCTION refused(t bigint, k bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
    PERFORM task_register_compensation(t, k, 'undo the undoing', 'undo');
    RETURN 'registered';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ': ' || replace(SQLERRM, t::text, 'N') || ' / ' || detail;
END $$;
SELECT refused(:c, :ck);
SELECT outcome FROM task_finalize(:c, :ck, 'completed');
SELECT * FROM task_register_compensation(:c, :ck, 'undo the undoing', 'undo');

-- Queue, name, payload.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS k FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'no such queue');
SELECT queue_drop('other');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'other');
SELECT * FROM task_register_compensation(999999999, :k, 'refund', 'other');
SELECT * FROM task_register_compensation(:t, :k, '', 'undo');
SELECT * FROM task_register_compensation(:t, :k, repeat('n', 256), 'undo');
SELECT outcome FROM task_register_compensation(:t, :k, repeat('n', 255), 'undo');
SELECT * FROM task_register_compensation(:t, :k, 'refund', '');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo', to_jsonb(repeat('x', 262144)));
SELECT * FROM task_register_compensation(NULL, :k, 'refund', 'undo');
SELECT * FROM task_register_compensation(:t, NULL, 'refund', 'undo');
SELECT * FROM task_register_compensation(:t, :k, NULL, 'undo');
SELECT * FROM task_register_compensation(:t, :k, 'refund', NULL);
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'undo', NULL);
SELECT compensation_no, left(name, 3) AS name FROM task_compensations(:t);
SELECT * FROM task_compensations(NULL);
SELECT * FROM task_compensations(999999999);

-- At most 1000 of a task.
SELECT outcome, min(compensation_no), max(compensation_no) FROM generate_series(2, 1000) n, task_register_compensation(:t, :k, 'n', 'undo', to_jsonb(n)) GROUP BY 1;
SELECT * FROM task_register_compensation(:t, :k, 'n', 'undo', '1000');
CREATE FUNCTION over_limit(t bigint, k bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM task_register_compensation(t, k, 'one more', 'undo');
    RETURN 'registered';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || replace(SQLERRM, t::text, 'N');
END $$;
SELECT over_limit(:t, :k);
-- Their events count for nothing in what a task may append.
SELECT last_seq FROM task_get(:t);
SELECT outcome, seq FROM task_append_event(:t, 'note', NULL, :k);
SELECT outcome FROM task_finalize(:t, :k, 'completed');

-- A queue is not dropped while work may have to be undone in it; the registrations of what has ended well hold none.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS k FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT queue_create('late');
SELECT * FROM task_register_compensation(:t, :k, 'refund', 'late');
SELECT queue_drop('late');
SELECT outcome FROM task_release(:t, :k);
SELECT queue_drop('late');
SELECT lease_token AS k FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT outcome FROM task_finalize(:t, :k, 'completed');
SELECT queue_drop('late');
-- The ledger stays readable.
SELECT * FROM task_compensations(:t);

-- Rolled back, as a whole or to a savepoint: nothing remains, and the number is given again.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS k FROM task_acquire_lease_by_id(:t, 'w') \gset
BEGIN;
SELECT * FROM task_register_compensation(:t, :k, 'a', 'undo');
ROLLBACK;
SELECT count(*) FROM task_compensations(:t);
BEGIN;
SELECT * FROM task_register_compensation(:t, :k, 'b', 'undo');
SAVEPOINT s;
SELECT * FROM task_register_compensation(:t, :k, 'c', 'undo');
ROLLBACK TO s;
SELECT * FROM task_register_compensation(:t, :k, 'd', 'undo');
COMMIT;
SELECT compensation_no, name FROM task_compensations(:t);
SELECT seq, kind, body -> 'name' AS name FROM task_events(:t);
-- Within the transaction that leased it.
BEGIN;
SELECT r.* FROM task_create('q', name => 'in one transaction') c, task_acquire_lease_by_id(c.task_id, 'w') l, task_register_compensation(c.task_id, l.lease_token, 'a', 'undo') r;
SELECT f.outcome FROM task_list(name => 'in one transaction') t, task_finalize(t.task_id, t.lease_token, 'failed') f;
COMMIT;
SELECT state, cardinality(ARRAY(SELECT 1 FROM task_compensations(t.task_id))) FROM task_list(name => 'in one transaction') t;

-- Needs work on the task, and work or produce where it is undone. Whoever may not is told what is told of one that is not there.
CREATE ROLE regress_worker;
CREATE ROLE regress_producer;
CREATE ROLE regress_nowhere;
CREATE ROLE regress_both;
SELECT baton_grant('regress_worker', 'work', 'q');
SELECT baton_grant('regress_producer', 'produce', 'undo');
SELECT baton_grant('regress_nowhere', 'work', 'default');
SELECT baton_grant('regress_nowhere', 'produce', 'undo');
SELECT baton_grant('regress_both', 'work', 'q');
SELECT baton_grant('regress_both', 'produce', 'undo');
SET ROLE regress_worker;
SELECT * FROM task_register_compensation(:t, :k, 'e', 'undo');
SELECT * FROM task_register_compensation(:t, :k, 'e', 'no such queue');
SELECT * FROM task_register_compensation(:t, :k, 'e', 'q');
SET ROLE regress_producer;
SELECT * FROM task_register_compensation(:t, :k, 'f', 'undo');
SET ROLE regress_nowhere;
SELECT * FROM task_register_compensation(:t, :k, 'f', 'undo');
SELECT * FROM task_register_compensation(999999999, :k, 'f', 'undo');
SELECT * FROM task_compensations(:t);
SET ROLE regress_both;
SELECT * FROM task_register_compensation(:t, :k, 'f', 'undo');
SELECT name, state FROM task_compensations(:t);
RESET ROLE;

SELECT * FROM baton_check(true);
