-- Compensations of a task: it fails, what it had done is undone, and only then it ends.

SELECT queue_create('told');
SELECT queue_create('q', lease_ttl => '1 h', max_attempts => 1, on_final_queue => 'told');
SELECT queue_create('undo', lease_ttl => '1 h', on_final_queue => 'told');
SELECT queue_create('undo too', lease_ttl => '1 h');
-- A leased task with this key that has registered three compensations: a flight, then a hotel (in another queue), then a car.
CREATE FUNCTION booked(queue text, key text, slot_keys text[] = NULL, ttl interval = NULL, OUT t bigint, OUT k bigint) LANGUAGE plpgsql AS $$
BEGIN
    t := (SELECT task_id FROM task_create(queue, key => key, slot_keys => slot_keys));
    k := (SELECT lease_token FROM task_acquire_lease_by_id(t, 'w', ttl));
    PERFORM task_register_compensation(t, k, 'flight', 'undo', '{"seat": "7A"}'), task_register_compensation(t, k, 'hotel', 'undo too'), task_register_compensation(t, k, 'car', 'undo');
END $$;
-- Workers undo what is to be undone, until nothing is: in this order.
CREATE FUNCTION undone() RETURNS text LANGUAGE plpgsql AS $$
DECLARE c record; names text[] = '{}';
BEGIN
    LOOP
        SELECT l.task_id, l.lease_token, l.name INTO c FROM unnest(ARRAY['undo', 'undo too']) queue, task_acquire_lease(queue, 'undoer') l LIMIT 1;
        EXIT WHEN NOT FOUND;
        PERFORM task_finalize(c.task_id, c.lease_token, 'completed');
        names := names || c.name;
    END LOOP;
    RETURN array_to_string(names, ', ');
END $$;
-- How a task stands, what its tape says, and its ledger.
CREATE FUNCTION stands(t bigint) RETURNS TABLE (state text, reason text, attempt int, lost int, result jsonb, error jsonb, tape text, ledger text) LANGUAGE sql AS $$
    SELECT state, reason, attempt, lost_leases, result, error, (SELECT string_agg(replace(kind, 'baton.compensation_', ''), ' ' ORDER BY seq) FROM task_events(t)),
        (SELECT string_agg(name || ' ' || state, ', ' ORDER BY compensation_no) FROM task_compensations(t)) FROM task_get(t) $$;
-- The whole row of a task, wherever it is, as text.
CREATE FUNCTION whole(t bigint) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT l::text FROM baton.task_live l WHERE l.task_id = t), (SELECT d::text FROM baton.task_done d WHERE d.task_id = t)) || (SELECT count(*) FROM baton.event WHERE tape_id = t) $$;

-- From the beginning to the end. The car is undone first.
SELECT t, k FROM booked('q', 'trip') \gset
SELECT outcome, state, finalized_at IS NULL AS goes_on, dispatched FROM task_finalize(:t, :k, 'failed', '{"booked": 3}', '{"card": "declined"}', 'no money') \gset
SELECT :'outcome' AS outcome, :'state' AS state, :'goes_on' AS goes_on;
SELECT compensation_no, name, ARRAY[task_id] = :'dispatched'::bigint[] AS dispatched, state, error FROM task_compensations(:t);
SELECT state, reason, attempt, owner, lease_token, lease_expires_at, result, error, finalized_at, last_seq FROM task_get(:t);
SELECT seq, kind, body, lease_token = :k AS token FROM task_events(:t);
SELECT ready, running, compensating FROM baton.queue_stats WHERE queue = 'q';
SELECT ready, running, compensating FROM baton.queue_stats WHERE queue = 'undo';
SELECT count(*) FROM baton.leases;
SELECT key FROM task_list(states => '{compensating}');
-- Its task is a task like any other, and stands alone.
SELECT task_id AS c, lease_token AS ck FROM task_acquire_lease('undo', 'undoer', max_tasks => 10) \gset
SELECT queue, name, key, payload, state, attempt, max_attempts, priority, run_id, item_index, slot_keys, redrive_of, metadata - 'compensates' AS metadata, metadata -> 'compensates' = to_jsonb(:t) AS compensates FROM task_get(:c);
-- One at a time: nothing else is to be undone yet.
SELECT name, state FROM task_compensations(:t);
SELECT count(*) FROM task_acquire_lease('undo too', 'undoer');
SELECT outcome, state, dispatched FROM task_finalize(:c, :ck, 'completed', '"the car is back"') \gset
SELECT :'outcome' AS outcome, :'state' AS state, name, state AS of_it FROM task_compensations(:t) WHERE ARRAY[task_id] = :'dispatched'::bigint[];
SELECT outcome, state, dispatched FROM task_finalize(:c, :ck, 'completed', '"the car is back"');
SELECT name, state FROM task_compensations(:t);
SELECT seq, kind, body - 'task_id' AS body, lease_token FROM task_events(:t, 5);
SELECT f.outcome, cardinality(f.dispatched) AS dispatched FROM task_acquire_lease('undo too', 'undoer') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT name, payload, task_id AS c, lease_token AS ck FROM task_acquire_lease('undo', 'undoer') \gset
SELECT :'name' AS name, :'payload' AS payload;
SELECT count(*) FROM task_list('told', '{ready}');
SELECT outcome, state FROM task_finalize(:c, :ck, 'completed');
-- Over: as it failed, with the reason it gave, and nothing more happens.
SELECT * FROM stands(:t);
SELECT seq, kind, body - 'task_id' AS body, lease_token = :k AS token FROM task_events(:t, 4);
SELECT (SELECT array_agg((body ->> 'task_id')::bigint ORDER BY seq) FROM task_events(:t) WHERE kind = 'baton.compensation_finalized') = (SELECT array_agg(task_id ORDER BY compensation_no DESC) FROM task_compensations(:t)) AS tape_names_the_tasks;
SELECT finalized_at IS NOT NULL AS finalized, finalized_at >= (SELECT max(finalized_at) FROM task_list('undo')) AS last, owner, lease_token FROM task_get(:t);
SELECT undone();
-- Every end is heard: of the compensations where their queue tells, of the task once, when it is over.
SELECT g.payload - 'task_id' AS payload FROM task_list('told') t, task_get(t.task_id) g ORDER BY t.task_id;

-- A replay is answered as the call was, while it is undone and when that is over; other values are not. The task stays as it is.
SELECT t, k FROM booked('q', 'replayed') \gset
SELECT outcome, state, cardinality(dispatched) AS dispatched FROM task_finalize(:t, :k, 'cancelled', '1', '2', 'why');
CREATE FUNCTION replays(t bigint, k bigint) RETURNS TABLE (call text, outcome text, state text, finalized boolean, dispatched bigint[]) LANGUAGE sql AS $$
    SELECT 'same', f.outcome, f.state, f.finalized_at IS NOT NULL, f.dispatched FROM task_finalize(t, k, 'cancelled', '1', '2', 'why') f UNION ALL
    SELECT 'state', f.outcome, f.state, f.finalized_at IS NOT NULL, f.dispatched FROM task_finalize(t, k, 'failed', '1', '2', 'why') f UNION ALL
    SELECT 'completed', f.outcome, f.state, f.finalized_at IS NOT NULL, f.dispatched FROM task_finalize(t, k, 'completed', '1', '2', 'why') f UNION ALL
    SELECT 'quarantined', f.outcome, f.state, f.finalized_at IS NOT NULL, f.dispatched FROM task_finalize(t, k, 'quarantined', '1', '2', 'why') f UNION ALL
    SELECT 'result', f.outcome, f.state, f.finalized_at IS NOT NULL, f.dispatched FROM task_finalize(t, k, 'cancelled', '3', '2', 'why') f UNION ALL
    SELECT 'error', f.outcome, f.state, f.finalized_at IS NOT NULL, f.dispatched FROM task_finalize(t, k, 'cancelled', '1', NULL, 'why') f UNION ALL
    SELECT 'reason', f.outcome, f.state, f.finalized_at IS NOT NULL, f.dispatched FROM task_finalize(t, k, 'cancelled', '1', '2') f UNION ALL
    SELECT 'fail_attempt', f.outcome, f.state, NULL, NULL FROM task_fail_attempt(t, k, '2') f UNION ALL
    SELECT 'other token', f.outcome, f.state, f.finalized_at IS NOT NULL, f.dispatched FROM task_finalize(t, k + 1, 'cancelled', '1', '2', 'why') f UNION ALL
    SELECT 'many', f.outcome, f.state, f.finalized_at IS NOT NULL, NULL FROM task_finalize_many(ARRAY[t], ARRAY[k], '{cancelled}', '{1}', '{2}') f $$;
SELECT whole(:t) AS before \gset
SELECT * FROM replays(:t, :k);
SELECT whole(:t) = :'before' AS as_it_was;
SELECT undone();
SELECT whole(:t) AS before \gset
SELECT * FROM replays(:t, :k);
SELECT whole(:t) = :'before' AS as_it_was;
SELECT * FROM stands(:t);

-- The same by another verb than the one that ended it: what it did, or could have done.
SELECT t, k FROM booked('q', 'by another verb') \gset
SELECT outcome FROM task_cancel(:t);
SELECT outcome FROM task_finalize(:t, :k, 'cancelled', NULL, '"e"');
SELECT f.outcome AS fail_attempt, o.outcome AS other_error, r.outcome AS release FROM task_fail_attempt(:t, :k, '"e"') f, task_fail_attempt(:t, :k) o, task_release(:t, :k) r;
SELECT t AS t2, k AS k2 FROM booked('q', 'by another verb, not asked') \gset
SELECT outcome FROM task_finalize(:t2, :k2, 'cancelled');
SELECT f.outcome AS fail_attempt, r.outcome AS release FROM task_fail_attempt(:t2, :k2) f, task_release(:t2, :k2) r;
SELECT t AS t3, k AS k3 FROM booked('q', 'by another verb, failed') \gset
SELECT outcome FROM task_finalize(:t3, :k3, 'failed', NULL, '"e"', 'attempts_exhausted');
SELECT f.outcome AS fail_attempt, r.outcome AS release FROM task_fail_attempt(:t3, :k3, '"e"') f, task_release(:t3, :k3) r;
SELECT undone();
SELECT f.outcome AS fail_attempt, o.outcome AS other_error, r.outcome AS release FROM task_fail_attempt(:t, :k, '"e"') f, task_fail_attempt(:t, :k) o, task_release(:t, :k) r;
SELECT f.outcome AS fail_attempt, r.outcome AS release FROM task_fail_attempt(:t2, :k2) f, task_release(:t2, :k2) r;
SELECT f.outcome AS fail_attempt, r.outcome AS release FROM task_fail_attempt(:t3, :k3, '"e"') f, task_release(:t3, :k3) r;

-- While it is undone, nobody has its lease; nothing that is said of it changes it.
SELECT t, k FROM booked('q', 'in between') \gset
SELECT outcome FROM task_finalize(:t, :k, 'failed', '"r"', '"e"');
SELECT whole(:t) AS before \gset
SELECT 'start' AS call, outcome FROM task_start(:t, :k) UNION ALL
SELECT 'heartbeat', outcome FROM task_heartbeat(:t, :k) UNION ALL
SELECT 'heartbeat_many', outcome FROM task_heartbeat_many(ARRAY[:t], ARRAY[:k]) UNION ALL
SELECT 'append with the token', outcome FROM task_append_event(:t, 'note', '1', :k) UNION ALL
SELECT 'append many with the token', outcome FROM task_append_events(:t, '{note}', '{1}', :k) UNION ALL
SELECT 'fail_attempt', outcome FROM task_fail_attempt(:t, :k, '"other"') UNION ALL
SELECT 'release', outcome FROM task_release(:t, :k) UNION ALL
SELECT 'release with another token', outcome FROM task_release(:t, :k + 1) UNION ALL
SELECT 'finalize with another token', outcome FROM task_finalize(:t, :k + 1, 'failed') UNION ALL
SELECT 'annotate with the token', outcome FROM task_annotate(:t, '{"a": 1}', :k) UNION ALL
SELECT 'register', outcome FROM task_register_compensation(:t, :k, 'more', 'undo') UNION ALL
SELECT 'cancel', outcome FROM task_cancel(:t) UNION ALL
SELECT 'cancel with force', outcome FROM task_cancel(:t, 'now', true) UNION ALL
SELECT 'acquire by id', outcome FROM task_acquire_lease_by_id(:t, 'w') UNION ALL
SELECT 'redrive', outcome FROM task_redrive(:t) UNION ALL
SELECT 'dispatch', outcome FROM task_dispatch_successor(:t, 'after', 'told') UNION ALL
SELECT 'reap', (SELECT count(*)::text FROM task_reap()) UNION ALL
SELECT 'reap its owner', (SELECT count(*)::text FROM task_reap_owner('w', 9007199254740991)) UNION ALL
SELECT 'acquire', (SELECT count(*)::text FROM task_acquire_lease('q', 'w')) UNION ALL
SELECT 'purge', (SELECT tasks::text FROM baton_purge('0', queue => 'q', states => '{failed,compensated}')) UNION ALL
SELECT 'create with its key', (SELECT outcome FROM task_create('q', key => 'in between'));
SELECT whole(:t) = :'before' AS as_it_was;
SELECT state FROM task_cancel(:t);
SELECT state FROM task_acquire_lease_by_id(:t, 'w');
SELECT task_require_lease(:t, :k);
-- Its tape goes on, and so do its metadata, for who needs no lease.
SELECT outcome FROM task_append_event(:t, 'note', '"seen"');
SELECT outcome FROM task_annotate(:t, '{"seen": true}');
SELECT tape FROM stands(:t);
SELECT undone();
SELECT state, reason, result, error, metadata FROM task_get(:t);

-- Every way to end.
-- finalize: completed undoes nothing, nor does quarantined; failed and cancelled do.
SELECT how, f.outcome, f.state, cardinality(f.dispatched) AS dispatched FROM unnest(ARRAY['completed', 'quarantined', 'failed', 'cancelled']) how, booked('q', 'finalize ' || how), task_finalize(t, k, how) f;
SELECT undone();
SELECT key, s.* FROM task_list('q') l, stands(l.task_id) s WHERE key LIKE 'finalize %' ORDER BY l.task_id;
-- finalize_many: each for itself.
SELECT array_agg(t) AS ts, array_agg(k) AS ks FROM (SELECT t, k FROM generate_series(1, 4) n, booked('q', 'many ' || n)) b \gset
SELECT ordinal, outcome, state, finalized_at IS NOT NULL AS finalized FROM task_finalize_many(:'ts', :'ks', '{failed,completed,cancelled,quarantined}', errors => '{1,NULL,3,4}');
SELECT ordinal, outcome, state, finalized_at IS NOT NULL AS finalized FROM task_finalize_many(:'ts', :'ks', '{failed,completed,cancelled,quarantined}', errors => '{1,NULL,3,5}');
-- The ends of several compensations in one call.
SELECT f.outcome, f.state FROM (SELECT array_agg(task_id) AS ids, array_agg(lease_token) AS tokens FROM task_acquire_lease('undo', 'undoer', max_tasks => 10)) l, task_finalize_many(ids, tokens, array_fill('completed'::text, ARRAY[2])) f;
SELECT undone();
SELECT key, s.* FROM task_list('q') l, stands(l.task_id) s WHERE key LIKE 'many %' ORDER BY l.task_id;
-- One task twice in a call: the second is a replay of the first.
SELECT t, k FROM booked('q', 'twice') \gset
SELECT ordinal, outcome, state FROM task_finalize_many(ARRAY[:t, :t, :t], ARRAY[:k, :k, :k], '{failed,failed,completed}');
SELECT undone();
SELECT * FROM stands(:t);
-- A lease that has run out, and nobody took: its holder may still say how it ended.
SELECT t, k FROM booked('q', 'late', ttl => '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome, state FROM task_finalize(:t, :k, 'failed', NULL, '"late"');
SELECT count(*) FROM task_reap();
SELECT undone();
SELECT * FROM stands(:t);
-- fail_attempt: with attempts left it undoes nothing; its last one does, with what any attempt has done.
SELECT queue_alter('q', max_attempts => 2);
SELECT t, k FROM booked('q', 'attempts') \gset
SELECT outcome, state FROM task_fail_attempt(:t, :k, '"first"', '0');
SELECT lease_token AS k2 FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT * FROM task_register_compensation(:t, :k2, 'insurance', 'undo too');
SELECT * FROM task_fail_attempt(:t, :k2, '"second"');
SELECT * FROM task_fail_attempt(:t, :k2, '"second"');
SELECT * FROM task_fail_attempt(:t, :k2, '"other"');
SELECT outcome, state FROM task_fail_attempt(:t, :k, '"first"');
SELECT outcome, state FROM task_finalize(:t, :k2, 'failed', NULL, '"second"');
SELECT outcome, state FROM task_finalize(:t, :k2, 'failed', NULL, '"second"', 'attempts_exhausted');
SELECT undone();
SELECT * FROM task_fail_attempt(:t, :k2, '"second"');
SELECT * FROM task_fail_attempt(:t, :k2, '"other"');
SELECT * FROM stands(:t);
-- A cancel was asked for: the worker says failed, gives back, or fails its attempt. Nothing was asked for: giving back undoes nothing.
SELECT t, k FROM booked('q', 'given back') \gset
SELECT outcome FROM task_release(:t, :k);
SELECT state, ledger FROM stands(:t);
SELECT l.lease_token AS k FROM task_acquire_lease_by_id(:t, 'w') l \gset
SELECT * FROM task_cancel(:t, 'the customer');
SELECT outcome, run_at FROM task_release(:t, :k);
SELECT outcome, run_at FROM task_release(:t, :k);
SELECT outcome FROM task_release(:t, :k + 1);
SELECT t AS t2, k AS k2 FROM booked('q', 'asked and fails') \gset
SELECT * FROM task_cancel(:t2);
SELECT * FROM task_fail_attempt(:t2, :k2, '"e"');
SELECT * FROM task_fail_attempt(:t2, :k2, '"e"');
SELECT t AS t3, k AS k3 FROM booked('q', 'asked and completes') \gset
SELECT * FROM task_cancel(:t3, 'too late');
SELECT outcome, state FROM task_finalize(:t3, :k3, 'completed');
SELECT undone();
SELECT outcome, run_at FROM task_release(:t, :k);
SELECT * FROM task_fail_attempt(:t2, :k2, '"e"');
SELECT key, s.* FROM task_list('q') l, stands(l.task_id) s WHERE l.task_id IN (:t, :t2, :t3) ORDER BY l.task_id;
-- cancel: what waits to be tried again has done something; what runs is ended only by force.
SELECT slot_set('seats', 1);
SELECT outcome, state FROM booked('q', 'scheduled'), task_fail_attempt(t, k, retry_after => '1 h');
SELECT outcome, state FROM booked('q', 'ready'), task_fail_attempt(t, k, retry_after => '0');
SELECT outcome, state FROM booked('q', 'blocked', '{seats}'), task_fail_attempt(t, k, retry_after => '100 ms');
SELECT outcome, state FROM task_create('q', key => 'has the seat', slot_keys => '{seats}');
SELECT pg_sleep(0.12);
SELECT t IS NOT NULL AS running FROM booked('q', 'running');
SELECT outcome FROM task_get_by_key('q', 'blocked') b, task_acquire_lease_by_id(b.task_id, 'w');
SELECT key, c.* FROM task_list('q', '{scheduled,ready,blocked,running}') l, task_cancel(l.task_id, 'off', key = 'running') c WHERE key <> 'has the seat' ORDER BY l.task_id;
SELECT key, c.* FROM task_list('q', '{compensating}') l, task_cancel(l.task_id) c ORDER BY l.task_id;
SELECT holders, waiters FROM baton.slot_usage WHERE slot_key = 'seats';
SELECT undone();
SELECT key, s.* FROM task_list('q') l, stands(l.task_id) s WHERE key IN ('scheduled', 'ready', 'blocked', 'running') ORDER BY l.task_id;
-- The reason is given by whoever cancels; by force it is forced.
SELECT t FROM booked('q', 'forced') \gset
SELECT * FROM task_cancel(:t, force => true);
SELECT kind, body, lease_token FROM task_events(:t, 4);
SELECT undone();
SELECT state, reason FROM task_get(:t);

-- What is lost: by each on_lost, started or not; found by a reap, by an acquire, by an acquire by id.
SELECT queue_create('requeue', max_lost_leases => 2);
SELECT queue_create('requeue_unstarted', on_lost => 'requeue_unstarted');
SELECT queue_create('fail', on_lost => 'fail');
SELECT count(t) FROM unnest(ARRAY['requeue', 'requeue_unstarted', 'fail']) queue, unnest(ARRAY['idle', 'begun', 'asked']) key, booked(queue, key, ttl => '1 s');
SELECT s.outcome, count(*) FROM task_list(owner => 'w') l, task_start(l.task_id, l.lease_token, '100 ms') s WHERE key = 'begun' GROUP BY 1;
SELECT c.outcome, count(*) FROM task_list(owner => 'w') l, task_cancel(l.task_id, 'asked') c WHERE key = 'asked' GROUP BY 1;
SELECT pg_sleep(1.02);
SELECT queue, key, outcome FROM task_reap() r JOIN task_list() l USING (task_id) ORDER BY l.task_id;
SELECT queue, key, s.* FROM task_list() l, stands(l.task_id) s WHERE queue IN ('requeue', 'requeue_unstarted', 'fail') ORDER BY l.task_id;
SELECT kind, body, e.lease_token IS NOT NULL AS token FROM task_get_by_key('fail', 'idle') t, task_events(t.task_id) e WHERE kind LIKE 'lease%' OR kind = 'compensating';
-- The last lease that it may lose; its worker, if it lives, is told.
SELECT task_id AS t, lease_token AS k FROM task_acquire_lease('requeue', 'w', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap(queue => 'requeue');
SELECT kind, body, lease_token = :k AS token FROM task_events(:t, 6);
SELECT outcome, state FROM task_finalize(:t, :k, 'completed');
SELECT outcome, state FROM task_fail_attempt(:t, :k);
SELECT undone();
SELECT outcome, state FROM task_finalize(:t, :k, 'completed');
SELECT outcome, state FROM task_finalize(:t, :k, 'quarantined', reason => 'lost_leases');
SELECT queue, key, s.* FROM task_list(states => '{compensated}') l, stands(l.task_id) s WHERE queue IN ('requeue', 'requeue_unstarted', 'fail') ORDER BY l.task_id;
-- An acquire that meets it takes what is next instead; an acquire by id is told.
SELECT count(*) FROM task_list('fail', '{ready}');
SELECT t FROM booked('fail', 'swept', ttl => '100 ms') \gset
SELECT t AS t2 FROM booked('fail', 'by id', ttl => '100 ms') \gset
SELECT t AS t3 FROM booked('fail', 'by id, its own', ttl => '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome, state, held_by FROM task_acquire_lease_by_id(:t2, 'other');
SELECT outcome, state, held_by FROM task_acquire_lease_by_id(:t3, 'w');
SELECT outcome FROM task_create('fail', key => 'next');
SELECT key FROM task_acquire_lease('fail', 'w', '1 h', 5);
SELECT key, s.* FROM task_list('fail') l, stands(l.task_id) s WHERE l.task_id IN (:t, :t2, :t3) ORDER BY l.task_id;
SELECT undone();
SELECT key, s.* FROM task_list('fail') l, stands(l.task_id) s WHERE l.task_id IN (:t, :t2, :t3) ORDER BY l.task_id;
-- The leases of an owner who is dead.
SELECT t, k FROM booked('fail', 'of the dead') \gset
SELECT outcome FROM task_reap_owner('w', :k, 'w is dead') r WHERE task_id = :t;
SELECT undone();
SELECT * FROM stands(:t);
-- max_runtime: an attempt that takes too long has failed; the last one ends it.
SELECT queue_create('slow', max_runtime => '100 ms', max_attempts => 2, backoff_base => '0');
SELECT t FROM booked('slow', 'slow', ttl => '1 h') \gset
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT count(*) FROM task_acquire_lease('slow', 'w', '1 h');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT undone();
SELECT * FROM stands(:t);

-- Slots: what was held is kept as long as it is undone, and goes on when that is over. What was not held is not taken.
SELECT slot_set('desk', 1);
SELECT t, k FROM booked('q', 'at the desk', '{desk}') \gset
SELECT outcome, state FROM task_create('q', key => 'wants the desk', slot_keys => '{desk}');
SELECT outcome FROM task_finalize(:t, :k, 'failed');
SELECT holders, waiters FROM baton.slot_usage WHERE slot_key = 'desk';
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 10) WHERE key = 'wants the desk';
SELECT f.outcome FROM task_acquire_lease('undo', 'undoer') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT holders, waiters FROM baton.slot_usage WHERE slot_key = 'desk';
SELECT undone();
SELECT holders, waiters FROM baton.slot_usage WHERE slot_key = 'desk';
SELECT state FROM task_get_by_key('q', 'wants the desk');

-- A queue that is paused undoes nothing; that the task's own is paused does not matter. It cannot be dropped as long as something is, or is yet to be, undone in it.
SELECT queue_create('garage'), queue_create('office');
SELECT task_id AS t FROM task_create('q', key => 'paused') \gset
SELECT lease_token AS k FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT r.* FROM unnest(ARRAY['office', 'garage']) name, task_register_compensation(:t, :k, name, name) r;
SELECT queue_pause('garage'), queue_pause('q');
SELECT outcome FROM task_finalize(:t, :k, 'failed');
SELECT count(*) FROM task_acquire_lease('garage', 'undoer');
SELECT state, ledger FROM stands(:t);
CREATE FUNCTION dropped(name text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM queue_drop(name);
    RETURN 'dropped';
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    RETURN SQLERRM;
END $$;
SELECT dropped('office'), dropped('garage');
SELECT queue_resume('garage');
SELECT f.outcome FROM task_acquire_lease('garage', 'undoer') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT dropped('office'), dropped('garage');
SELECT f.outcome FROM task_acquire_lease('office', 'undoer') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT dropped('office');
SELECT queue_resume('q');
SELECT * FROM stands(:t);

-- Rolled back: as if nothing had been said, also to a savepoint.
SELECT t, k FROM booked('q', 'rolled back') \gset
SELECT whole(:t) AS before, (SELECT count(*) FROM baton.task) AS tasks \gset
BEGIN;
SELECT outcome FROM task_finalize(:t, :k, 'failed');
SELECT undone();
SELECT state, ledger FROM stands(:t);
ROLLBACK;
SELECT whole(:t) = :'before' AS as_it_was, (SELECT count(*) FROM baton.task) - :tasks AS more_tasks, (SELECT count(*) FROM baton.saga WHERE task_id = :t) AS ends, ledger FROM stands(:t);
BEGIN;
SAVEPOINT s;
SELECT outcome FROM task_cancel(:t, force => true);
ROLLBACK TO s;
SELECT whole(:t) = :'before' AS as_it_was, ledger FROM stands(:t);
SELECT outcome FROM task_finalize(:t, :k, 'failed');
SAVEPOINT s;
SELECT undone();
ROLLBACK TO s;
SELECT state, ledger, tape FROM stands(:t);
SELECT undone();
COMMIT;
SELECT state, ledger, tape FROM stands(:t);
SELECT undone();

-- A redrive begins anew: what the old one registered is its own, and was undone.
SELECT outcome, task_id AS n FROM task_redrive(:t) \gset
SELECT :'outcome' AS outcome;
SELECT state, redrive_of = :t AS linked, attempt, (SELECT count(*) FROM task_compensations(:n)) AS registered FROM task_get(:n);
SELECT outcome, task_id = :n AS same FROM task_redrive(:t);
SELECT l.lease_token AS k FROM task_acquire_lease_by_id(:n, 'w') l \gset
SELECT * FROM task_register_compensation(:n, :k, 'flight', 'undo', '{"seat": "7A"}');
SELECT outcome FROM task_finalize(:n, :k, 'failed');
SELECT undone();
SELECT state, ledger FROM stands(:n);
SELECT state, ledger FROM stands(:t);

-- A task that has registered nothing ends at once.
SELECT f.outcome, f.state FROM task_create('q', key => 'nothing done') c, task_acquire_lease_by_id(c.task_id, 'w') l, task_finalize(c.task_id, l.lease_token, 'failed') f;
SELECT count(*) FROM task_list(states => '{compensating}');

-- What is purged takes its ledger with it; what undid it is purged for itself.
SELECT tasks > 0 AS purged, more FROM baton_purge('0', queue => 'undo');
SELECT name, state, task_id IS NOT NULL AS task FROM task_compensations(:t);
SELECT * FROM baton_check(true);
SELECT tasks > 0 AS purged, more FROM baton_purge('0', states => '{compensated}');
SELECT count(*) FROM task_compensations(:t);
SELECT count(*) FROM baton.saga g WHERE NOT EXISTS (SELECT FROM baton.task t WHERE t.task_id = g.task_id);

SELECT * FROM baton_check(true);
