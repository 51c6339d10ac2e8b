-- A compensation that gives up quarantines whose work it was to undo: what was registered before it is left as it is.

SELECT queue_create('told');
SELECT queue_create('q', lease_ttl => '1 h', max_attempts => 1, on_final_queue => 'told');
SELECT queue_create('undo', lease_ttl => '1 h', max_attempts => 2, max_lost_leases => 2);
SELECT queue_create('undo once', lease_ttl => '1 h', on_lost => 'fail');
SELECT queue_create('undo in time', max_runtime => '100 ms', max_attempts => 1);
-- A task with this key that has booked a flight, a hotel and a car, and has failed: the hotel is undone in this queue.
CREATE FUNCTION booked(key text, hotel text = 'undo', how text = 'failed') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE t bigint; k bigint;
BEGIN
    t := (SELECT task_id FROM task_create('q', key => key));
    k := (SELECT lease_token FROM task_acquire_lease_by_id(t, 'w'));
    PERFORM task_register_compensation(t, k, 'flight', 'undo'), task_register_compensation(t, k, 'hotel', hotel), task_register_compensation(t, k, 'car', 'undo');
    PERFORM task_finalize(t, k, how, '"3 booked"', '"no money"', 'bank');
    RETURN t;
END $$;
-- The one of a task that is ready is leased.
CREATE FUNCTION leased(of bigint, ttl interval = NULL, OUT c bigint, OUT k bigint) LANGUAGE plpgsql AS $$
BEGIN
    c := (SELECT task_id FROM task_compensations(of) WHERE state = 'ready');
    k := (SELECT lease_token FROM task_acquire_lease_by_id(c, 'undoer', ttl));
END $$;
-- It ends so.
CREATE FUNCTION ends(of bigint, how text = 'completed') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome || ' ' || f.state || ' ' || cardinality(f.dispatched) FROM leased(of), task_finalize(c, k, how, NULL, CASE WHEN how <> 'completed' THEN '{"hotel": "says no"}'::jsonb END) f $$;
CREATE FUNCTION stands(t bigint) RETURNS TABLE (state text, reason text, result jsonb, error jsonb, tape text, ledger text) LANGUAGE sql AS $$
    SELECT state, reason, result, error, (SELECT string_agg(replace(kind, 'baton.compensation_', '') || coalesce('(' || CASE WHEN kind LIKE '%finalized' THEN body ->> 'state' END || ')', ''), ' ' ORDER BY seq) FROM task_events(t)),
        (SELECT string_agg(name || ' ' || state || coalesce(' ' || error::text, ''), ', ' ORDER BY compensation_no) FROM task_compensations(t)) FROM task_get(t) $$;

-- A worker gives up, in each of the ways that are his. What was to come is not run; what the task had come to stays with it.
SELECT how, ends(t), ends(t, how) FROM unnest(ARRAY['failed', 'cancelled', 'quarantined']) how, booked('worker ' || how) t;
SELECT key, s.* FROM task_list('q') l, stands(l.task_id) s WHERE key LIKE 'worker %' ORDER BY l.task_id;
SELECT count(*) FROM unnest(ARRAY['undo', 'undo once', 'undo in time']) queue, task_acquire_lease(queue, 'undoer');
SELECT seq, kind, body - 'task_id' AS body FROM task_get_by_key('q', 'worker failed') t, task_events(t.task_id, 4);
SELECT compensation_no, c.name, c.task_id IS NOT NULL AS task, c.state, c.error FROM task_get_by_key('q', 'worker failed') t, task_compensations(t.task_id) c;
-- Its end is heard, like every other.
SELECT g.payload - 'task_id' AS payload FROM task_list('told') l, task_get(l.task_id) g ORDER BY l.task_id;
-- However it ended first.
SELECT booked('was cancelled', how => 'cancelled') AS t \gset
SELECT ends(:t, 'failed');
SELECT * FROM stands(:t);

-- Tried again, given back, lost: it goes on until its queue's limits are used up. Meanwhile the task waits.
SELECT booked('tried') AS t \gset
SELECT c, k FROM leased(:t) \gset
SELECT outcome, state FROM task_fail_attempt(:c, :k, '"busy"', '0');
SELECT state, ledger FROM stands(:t);
SELECT c, k FROM leased(:t) \gset
SELECT outcome FROM task_release(:c, :k);
SELECT c FROM leased(:t, '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT task_id = :c AS this, outcome FROM task_reap();
SELECT state, ledger FROM stands(:t);
SELECT attempt, lost_leases FROM task_get(:c);
SELECT c, k FROM leased(:t) \gset
SELECT outcome FROM task_start(:c, :k);
SELECT outcome FROM task_heartbeat(:c, :k, '2 h');
SELECT outcome FROM task_append_event(:c, 'note', '"at the desk"', :k);
SELECT outcome, state FROM task_finalize(:c, :k, 'completed');
SELECT ends(:t), ends(:t);
SELECT * FROM stands(:t);
-- One that has to wait.
SELECT booked('waits') AS t \gset
SELECT c, k FROM leased(:t) \gset
SELECT outcome, state FROM task_fail_attempt(:c, :k, '"busy"', '1 h');
SELECT state, ledger FROM stands(:t);
-- Attempts used up.
SELECT outcome, state FROM task_fail_attempt(:c, :k, '"busy"', '1 h');
SELECT booked('attempts') AS t \gset
SELECT c, k FROM leased(:t) \gset
SELECT outcome, state FROM task_fail_attempt(:c, :k, '"busy"', '0');
SELECT c, k FROM leased(:t) \gset
SELECT outcome, state FROM task_fail_attempt(:c, :k, '"busy again"');
SELECT outcome, state FROM task_fail_attempt(:c, :k, '"busy again"');
SELECT * FROM stands(:t);
-- Its workers die.
SELECT booked('lost') AS t \gset
SELECT ends(:t);
SELECT c FROM leased(:t, '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap(queue => 'undo');
SELECT c FROM leased(:t, '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap(queue => 'undo');
SELECT * FROM stands(:t);
SELECT state, reason FROM task_get(:c);
-- It must not run twice; it takes too long. Found by an acquire.
SELECT booked('once', 'undo once') AS t, booked('in time', 'undo in time') AS t2 \gset
SELECT ends(:t), ends(:t2);
SELECT count(c) FROM unnest(ARRAY[:t, :t2]) t, leased(t, '100 ms');
SELECT pg_sleep(0.12);
SELECT count(*) FROM unnest(ARRAY['undo once', 'undo in time']) queue, task_acquire_lease(queue, 'undoer');
SELECT key, s.* FROM task_list('q') l, stands(l.task_id) s WHERE l.task_id IN (:t, :t2) ORDER BY l.task_id;
SELECT l.name, l.state, l.reason FROM task_list() l WHERE l.queue IN ('undo once', 'undo in time') ORDER BY l.task_id;
-- Its owner is known to be dead.
SELECT booked('dead', 'undo once') AS t \gset
SELECT ends(:t);
SELECT c, k FROM leased(:t) \gset
SELECT task_id = :c AS this, outcome FROM task_reap_owner('undoer', :k, 'node 7 is gone');
SELECT * FROM stands(:t);

-- Nobody calls one off, however it stands; a worker who was told to stop would leave things half undone.
SELECT booked('not called off') AS t \gset
SELECT task_id AS c FROM task_compensations(:t) WHERE state = 'ready' \gset
SELECT * FROM task_cancel(:c);
SELECT * FROM task_cancel(:c, force => true);
SELECT k FROM leased(:t) \gset
SELECT * FROM task_cancel(:c);
SELECT * FROM task_cancel(:c, 'now', true);
SELECT outcome, cancel_requested FROM task_heartbeat(:c, :k, '2 h');
SELECT outcome, state FROM task_fail_attempt(:c, :k, '"busy"', '1 h');
SELECT * FROM task_cancel(:c, force => true);
SELECT kind FROM task_events(:c);
SELECT * FROM task_cancel(:t, force => true);
SELECT state, ledger FROM stands(:t);

-- One of several in a call gives up: the others' owners go on.
SELECT booked('several 1') AS t, booked('several 2') AS t2, booked('several 3') AS t3 \gset
SELECT array_agg(c) AS cs, array_agg(k) AS ks FROM unnest(ARRAY[:t, :t2, :t3]) t, leased(t) \gset
SELECT ordinal, outcome, state FROM task_finalize_many(:'cs', :'ks', '{completed,failed,completed}', errors => '{NULL,1,NULL}');
SELECT key, s.* FROM task_list('q') l, stands(l.task_id) s WHERE key LIKE 'several %' ORDER BY l.task_id;

-- Replays of how the task ended first are answered as before.
SELECT t, k FROM (SELECT task_id AS t FROM task_create('q', key => 'replayed')) c, LATERAL (SELECT lease_token AS k FROM task_acquire_lease_by_id(t, 'w')) l \gset
SELECT r.* FROM task_register_compensation(:t, :k, 'car', 'undo') r;
SELECT outcome, state FROM task_finalize(:t, :k, 'failed', NULL, '1');
SELECT ends(:t, 'failed');
SELECT outcome, state, finalized_at IS NOT NULL AS finalized, dispatched FROM task_finalize(:t, :k, 'failed', NULL, '1');
SELECT outcome, state FROM task_finalize(:t, :k, 'failed', NULL, '2');
SELECT outcome, state FROM task_finalize(:t, :k, 'quarantined', NULL, '1', 'compensation_failed');
SELECT outcome, state FROM task_finalize(:t, :k + 1, 'failed', NULL, '1');

-- People look at it: what gave up can be done again by hand, and so can the task. The one is not the other, and what has ended stays so.
SELECT c.task_id AS c FROM task_get_by_key('q', 'worker failed') t, task_compensations(t.task_id) c WHERE c.name = 'hotel' \gset
SELECT t.task_id AS t, s.ledger AS before FROM task_get_by_key('q', 'worker failed') t, stands(t.task_id) s \gset
SELECT outcome, task_id AS n FROM task_redrive(:c) \gset
SELECT :'outcome' AS outcome, name, queue, state, redrive_of = :c AS linked, run_id, metadata -> 'compensation_no' AS compensation_no FROM task_get(:n);
SELECT * FROM task_cancel(:n);
SELECT state, ledger = :'before' AS as_it_was FROM stands(:t);
SELECT outcome, task_id AS n FROM task_redrive(:t) \gset
SELECT :'outcome' AS outcome, state, (SELECT count(*) FROM task_compensations(:n)) AS registered FROM task_get(:n);
SELECT f.outcome FROM task_acquire_lease_by_id(:n, 'w') l, task_finalize(:n, l.lease_token, 'completed') f;
SELECT state, reason, ledger = :'before' AS as_it_was FROM stands(:t);
SELECT * FROM baton_check(true);

-- In a run. The compensation of a task of it gives up: the task is quarantined, which is a failure, and the run does not undo what others did.
CREATE FUNCTION go(run bigint, step text, how text = 'completed', result jsonb = NULL, registers text[] = '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE t bigint; k bigint; name text;
BEGIN
    SELECT l.task_id INTO STRICT t FROM task_list(states => '{ready}', name => step, run_id => run) l ORDER BY item_index LIMIT 1;
    SELECT a.lease_token INTO k FROM task_acquire_lease_by_id(t, 'w') a;
    FOREACH name IN ARRAY registers LOOP PERFORM task_register_compensation(t, k, name, 'run undo'); END LOOP;
    IF how = 'runs' THEN RETURN 'runs'; END IF;
    RETURN (SELECT f.outcome FROM task_finalize(t, k, how, result) f);
END $$;
-- What is to be undone of a run, or of its tasks, ends so.
CREATE FUNCTION undoes(how text = 'completed') RETURNS TABLE (name text, outcome text, state text) LANGUAGE sql AS $$
    SELECT l.name, f.outcome, f.state FROM task_acquire_lease('run undo', 'undoer') l, task_finalize(l.task_id, l.lease_token, how, NULL, CASE WHEN how <> 'completed' THEN '"stuck"'::jsonb END) f $$;
CREATE FUNCTION run_stands(run bigint) RETURNS TABLE (state text, checkpoint text, counts jsonb, steps text, ledger text) LANGUAGE sql AS $$
    SELECT state, checkpoint, counts, (SELECT string_agg(step || ' ' || state, ', ' ORDER BY n) FROM (SELECT *, row_number() OVER () AS n FROM workflow_steps(run)) s),
        (SELECT string_agg(step || ':' || name || ' ' || state || coalesce(' ' || error::text, ''), ', ' ORDER BY n) FROM (SELECT *, row_number() OVER () AS n FROM workflow_compensations(run)) c) FROM workflow_get(run) $$;
SELECT queue_create('run undo', lease_ttl => '1 h', max_attempts => 1);
SELECT name, workflow_define(name, jsonb_build_object('on_error', name, 'steps', '[{"name": "a", "queue": "q", "compensate": {"queue": "run undo"}}, {"name": "b", "queue": "q", "needs": ["a"]}, {"name": "c", "queue": "q", "needs": ["b"], "when": "failed"}]'::jsonb))
FROM unnest(ARRAY['fail', 'continue', 'pause']) name;
SELECT run_id AS run FROM workflow_start('fail') \gset
SELECT go(:run, 'a'), go(:run, 'b', 'failed', registers => '{b1,b2,b3}');
SELECT * FROM undoes();
SELECT * FROM undoes('failed');
SELECT * FROM undoes();
SELECT * FROM run_stands(:run);
SELECT go(:run, 'c');
SELECT * FROM run_stands(:run);
SELECT seq, kind, body FROM workflow_events(:run, 4);
SELECT run_id AS run FROM workflow_start('continue') \gset
SELECT go(:run, 'a'), go(:run, 'b', 'failed', registers => '{b1,b2}');
SELECT * FROM undoes('cancelled');
SELECT go(:run, 'c');
SELECT * FROM run_stands(:run);
-- Paused: it is told once that the task failed. Redriven and done, it does not stand in the way.
SELECT run_id AS run FROM workflow_start('pause') \gset
SELECT go(:run, 'a'), go(:run, 'b', 'failed', registers => '{b1,b2}');
SELECT state, checkpoint, jsonb_array_length(checkpoint_detail -> 'failed') AS failed FROM workflow_get(:run);
SELECT * FROM undoes('quarantined');
SELECT state, checkpoint, jsonb_array_length(checkpoint_detail -> 'failed') AS failed FROM workflow_get(:run);
SELECT * FROM run_stands(:run);
SELECT step, total, running, completed, failed FROM workflow_steps(:run);
SELECT r.outcome FROM task_list(run_id => :run, states => '{quarantined}') l, task_redrive(l.task_id) r;
SELECT * FROM run_stands(:run);
SELECT step, total, running, completed, failed FROM workflow_steps(:run);
SELECT workflow_resume(:run, 'on_error');
SELECT go(:run, 'b');
SELECT * FROM run_stands(:run);
-- One that was called off fails only now: then the run hears of it.
SELECT run_id AS run FROM workflow_start('pause') \gset
SELECT go(:run, 'a'), go(:run, 'b', 'runs', registers => '{b1}');
SELECT c.* FROM task_list(run_id => :run, states => '{running}') l, task_cancel(l.task_id, force => true) c;
SELECT state, checkpoint FROM run_stands(:run);
SELECT * FROM undoes('failed');
SELECT * FROM run_stands(:run);
SELECT workflow_resume(:run, 'on_error');
SELECT go(:run, 'c');
SELECT * FROM run_stands(:run);
-- A cancelled run.
SELECT run_id AS run FROM workflow_start('fail') \gset
SELECT go(:run, 'a'), go(:run, 'b', 'runs', registers => '{b1}');
SELECT * FROM workflow_cancel(:run, 'off', 'force');
SELECT * FROM undoes('failed');
SELECT * FROM run_stands(:run);

-- One of the run's own gives up.
SELECT run_id AS run FROM workflow_start('fail') \gset
SELECT go(:run, 'a', registers => '{a1,a2}'), go(:run, 'b', 'failed'), go(:run, 'c');
SELECT * FROM undoes();
SELECT * FROM undoes('failed');
SELECT * FROM undoes();
SELECT * FROM run_stands(:run);
SELECT seq, kind, body - 'task_id' - 'of_task_id' AS body FROM workflow_events(:run, 7);
SELECT * FROM workflow_cancel(:run);
SELECT r.outcome FROM task_list(run_id => :run, states => '{failed}') l, task_redrive(l.task_id) r;
-- In a run without a definition; its result stays.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', '{0,1}') \gset
SELECT go(:run, 'g', registers => '{g1}'), go(:run, 'g', registers => '{g2}'), workflow_finalize(:run, 'failed', '"sorry"');
SELECT * FROM undoes('failed');
SELECT * FROM run_stands(:run);
SELECT result FROM workflow_get(:run);
SELECT * FROM undoes();

-- What a definition says of it cannot be made: a path that fails, a payload that is too large. Nothing is run for it.
SELECT workflow_define('paths', '{"steps": [{"name": "a", "queue": "q", "compensate": {"queue": "run undo"}}, {"name": "b", "queue": "q", "needs": ["a"], "compensate": {"queue": "run undo", "payload": {"room": "$.task.result.room.double()"}}}, {"name": "c", "queue": "q", "needs": ["b"], "compensate": {"queue": "run undo", "payload": ["$.task.result", "$.steps.c.result"]}}, {"name": "d", "queue": "q", "needs": ["c"]}]}');
SELECT run_id AS run FROM workflow_start('paths') \gset
SELECT go(:run, 'a'), go(:run, 'b', result => '{"room": {"red": true}}'), go(:run, 'c'), go(:run, 'd', 'failed');
SELECT * FROM undoes();
SELECT * FROM run_stands(:run);
SELECT step, compensation_no, name, task_id, state, error FROM workflow_compensations(:run) WHERE state = 'failed';
SELECT seq, kind, body - 'of_task_id' - CASE body -> 'task_id' WHEN 'null' THEN '' ELSE 'task_id' END AS body FROM workflow_events(:run, 9);
SELECT run_id AS run FROM workflow_start('paths') \gset
SELECT go(:run, 'a'), go(:run, 'b', result => '{"room": "12"}'), go(:run, 'c', result => to_jsonb(repeat('x', 200000))), go(:run, 'd', 'failed');
SELECT * FROM run_stands(:run);
SELECT * FROM undoes();
-- A path that finds nothing is null, and nothing to give up for.
SELECT run_id AS run FROM workflow_start('paths') \gset
SELECT go(:run, 'a'), go(:run, 'b', result => '{"bed": 1}'), go(:run, 'c', result => '1.50'), go(:run, 'd', 'failed');
SELECT name, payload, f.outcome FROM task_acquire_lease('run undo', 'undoer') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT name, payload, f.outcome FROM task_acquire_lease('run undo', 'undoer') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT name, payload, f.outcome FROM task_acquire_lease('run undo', 'undoer') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT * FROM run_stands(:run);

SELECT * FROM baton_check(true);
