-- What kills its workers is quarantined, and can be done again; and what has ended, in whatever way, stays as it is.

SELECT queue_create('told');
SELECT queue_create('q', lease_ttl => '1 h', max_attempts => 3, max_lost_leases => 2, on_final_queue => 'told', on_final_states => '{quarantined}');
SELECT queue_create('undo', lease_ttl => '1 h');
-- How a task stands, and its tape.
CREATE FUNCTION stands(t bigint) RETURNS TABLE (state text, reason text, attempt int, lost int, owner text, error jsonb, tape text) LANGUAGE sql AS $$
    SELECT state, reason, attempt, lost_leases, owner, error, (SELECT string_agg(kind, ' ' ORDER BY seq) FROM task_events(t)) FROM task_get(t) $$;
-- All that is known of a task, in one text that no setting changes. (Its metadata are its own.)
CREATE FUNCTION whole(t bigint) RETURNS text LANGUAGE sql SET TimeZone = 'UTC' SET DateStyle = 'ISO' AS $$
    SELECT concat_ws(E'\n', (SELECT l::text FROM baton.task_live l WHERE l.task_id = t), (SELECT d::text FROM baton.task_done d WHERE d.task_id = t), (SELECT i::text FROM baton.task i WHERE i.task_id = t),
        (SELECT g::text FROM baton.saga g WHERE g.task_id = t), (SELECT string_agg(c::text, ' ' ORDER BY compensation_no) FROM baton.compensation c WHERE c.task_id = t),
        (SELECT string_agg(e::text, ' ' ORDER BY seq) FROM baton.event e WHERE tape_id = t), (SELECT string_agg(s::text, ' ') FROM baton.slot s WHERE holder = t)) $$;

-- Poison: every lease is lost. The last one that its queue allows quarantines it; what waits behind it is not held up.
SELECT outcome FROM unnest(ARRAY['poison', 'harmless']) key, task_create('q', '{"size": 9}', key => key, priority => CASE key WHEN 'poison' THEN 9 ELSE 0 END, metadata => '{"team": "ops"}');
SELECT task_id AS t, lease_token AS k FROM task_get_by_key('q', 'poison') \gset
SELECT key, attempt, lost_leases FROM task_acquire_lease('q', 'node 1', '100 ms');
SELECT outcome FROM task_get(:t) g, task_append_event(:t, 'memory', '"8 GB"', g.lease_token);
SELECT pg_sleep(0.12);
SELECT key, attempt, lost_leases FROM task_acquire_lease('q', 'node 2', '100 ms');
SELECT lease_token AS k FROM task_get(:t) \gset
SELECT pg_sleep(0.12);
SELECT key, attempt, lost_leases FROM task_acquire_lease('q', 'node 3', max_tasks => 5);
SELECT * FROM stands(:t);
SELECT seq, kind, body FROM task_events(:t, 3);
-- Its worker, if it lives after all, is told, whatever it says.
SELECT outcome, state FROM task_finalize(:t, :k, 'completed');
SELECT outcome, state FROM task_finalize(:t, :k, 'quarantined', reason => 'lost_leases');
SELECT outcome FROM task_heartbeat(:t, :k);
-- It is heard of.
SELECT g.payload - 'task_id' AS payload FROM task_list('told') l, task_get(l.task_id) g;
-- A worker may quarantine, too: at once, whatever is left of its attempts.
SELECT task_id AS t2, lease_token AS k2 FROM task_get_by_key('q', 'harmless') \gset
SELECT outcome, state FROM task_finalize(:t2, :k2, 'quarantined', NULL, '{"row": 17}', 'cannot be read');
SELECT * FROM stands(:t2);

-- Done again: a new task with clean counts, linked to the old one, which stays as it is.
SELECT whole(:t) AS before \gset
SELECT outcome, task_id AS n FROM task_redrive(:t) \gset
SELECT :'outcome' AS outcome, redrive_of = :t AS linked, state, attempt, max_attempts, lost_leases, payload, priority, metadata, key, reason, last_seq FROM task_get(:n);
SELECT whole(:t) = :'before' AS as_it_was;
SELECT outcome, task_id = :n AS same FROM task_redrive(:t);
-- It has all its leases again.
SELECT count(*) FROM task_acquire_lease_by_id(:n, 'node 1', '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT state, attempt, lost FROM stands(:n);
SELECT f.outcome FROM task_acquire_lease_by_id(:n, 'node 1') l, task_finalize(:n, l.lease_token, 'completed') f;
SELECT * FROM stands(:n);
SELECT whole(:t) = :'before' AS as_it_was;

-- A whole queue, so many at a time, oldest first: what failed and what was quarantined, unless it is said which.
SELECT queue_create('many', max_lost_leases => 1);
SELECT outcome, count(*) FROM task_create_many('many', array_fill('{}'::jsonb, ARRAY[8])) GROUP BY 1;
-- (which of them, from 1)
CREATE FUNCTION nth(t bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM task_list('many', max_tasks => 1000) l WHERE l.task_id <= t AND redrive_of IS NULL $$;
SELECT count(*) FROM task_acquire_lease('many', 'w', '100 ms', 3);
SELECT pg_sleep(0.12);
SELECT nth(task_id), outcome FROM task_reap(queue => 'many') ORDER BY 1;
SELECT nth(l.task_id), r.outcome FROM task_acquire_lease('many', 'undone', '1 h', 2) l, task_register_compensation(l.task_id, l.lease_token, 'u', 'undo') r;
SELECT f.outcome, f.state FROM task_list('many', owner => 'undone') l, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT count(f.outcome) FROM task_acquire_lease('undo', 'undoer') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT count(f.outcome) FROM task_acquire_lease('undo', 'undoer') l, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT f.outcome, f.state FROM task_acquire_lease('many', 'w2', '1 h', 2) l, task_finalize(l.task_id, l.lease_token, CASE nth(l.task_id) WHEN 6 THEN 'failed' ELSE 'cancelled' END) f;
SELECT nth(task_id), state, reason FROM task_list('many') ORDER BY 1;
SELECT nth(task_id) FROM queue_redrive('many', max_tasks => 2);
SELECT nth(task_id) FROM queue_redrive('many', max_tasks => 2);
SELECT nth(task_id) FROM queue_redrive('many');
SELECT nth(task_id) FROM queue_redrive('many');
SELECT nth(redrive_of), state, attempt, lost_leases FROM task_list('many') WHERE redrive_of IS NOT NULL ORDER BY 1;
SELECT nth(task_id) FROM queue_redrive('many', '{compensated}');
SELECT nth(task_id) FROM queue_redrive('many', '{cancelled}');
SELECT nth(task_id) FROM queue_redrive('many', '{failed,cancelled,compensated,quarantined}');
-- From a task on: what fails again is not met again.
SELECT max(l.task_id) AS last FROM task_list('many') l \gset
SELECT count(f.outcome) FROM task_acquire_lease('many', 'w', '1 h', 3) l, task_finalize(l.task_id, l.lease_token, 'quarantined') f;
SELECT count(*) FROM queue_redrive('many', after_task_id => :last);
SELECT count(*) FROM queue_redrive('many');
SELECT * FROM queue_redrive('many', '{completed}');
SELECT * FROM queue_redrive('many', '{running}');
SELECT * FROM queue_redrive('many', max_tasks => 1001);

-- What has ended. Each verb is answered, by whoever ended it and by anybody else; nothing of the task changes.
CREATE TABLE ended (how text PRIMARY KEY, t bigint, k bigint, before text);
CREATE FUNCTION ends(how text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t bigint; k bigint; c record;
BEGIN
    t := (SELECT task_id FROM task_create('q', '{"n": 1}', key => how, slot_keys => '{key}'));
    k := (SELECT lease_token FROM task_acquire_lease_by_id(t, 'w', '1 h'));
    PERFORM task_start(t, k), task_append_event(t, 'note', '1', k, 'once');
    IF how IN ('compensated', 'compensation failed', 'completed with registrations') THEN
        PERFORM task_register_compensation(t, k, 'a', 'undo'), task_register_compensation(t, k, 'b', 'undo');
    END IF;
    CASE how
        WHEN 'called off' THEN PERFORM task_cancel(t, 'off', true);
        WHEN 'compensated' THEN PERFORM task_finalize(t, k, 'failed', '1', '2', 'why');
        WHEN 'compensation failed' THEN PERFORM task_finalize(t, k, 'failed', '1', '2', 'why');
        WHEN 'completed with registrations' THEN PERFORM task_finalize(t, k, 'completed', '1', '2', 'why');
        ELSE PERFORM task_finalize(t, k, how, '1', '2', 'why');
    END CASE;
    LOOP
        SELECT * INTO c FROM task_acquire_lease('undo', 'undoer');
        EXIT WHEN NOT FOUND;
        PERFORM task_finalize(c.task_id, c.lease_token, CASE how WHEN 'compensated' THEN 'completed' ELSE 'failed' END);
    END LOOP;
    INSERT INTO ended VALUES (how, t, k, whole(t));
END $$;
SELECT slot_set('key', 1);
SELECT how, ends(how) FROM unnest(ARRAY['completed', 'failed', 'cancelled', 'quarantined', 'called off', 'compensated', 'compensation failed', 'completed with registrations']) how;
SELECT how, s.* FROM ended, stands(t) s ORDER BY t;
CREATE FUNCTION requires(t bigint, k bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM task_require_lease(t, k);
    RETURN 'held';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
-- With the token of the lease that ended it.
CREATE FUNCTION says(t bigint, k bigint, state text, key text) RETURNS TABLE (call text, outcome text) LANGUAGE sql AS $$
    SELECT 'acquire_by_id', outcome || ' ' || state FROM task_acquire_lease_by_id(t, 'w', '1 h') UNION ALL
    SELECT 'start', outcome FROM task_start(t, k, '2 h') UNION ALL
    SELECT 'heartbeat', outcome FROM task_heartbeat(t, k, '2 h') UNION ALL
    SELECT 'heartbeat_many', outcome FROM task_heartbeat_many(ARRAY[t], ARRAY[k], '2 h') UNION ALL
    SELECT 'require', requires(t, k) UNION ALL
    SELECT 'append_event', outcome FROM task_append_event(t, 'late', '1', k) UNION ALL
    SELECT 'append_event, no token', outcome FROM task_append_event(t, 'late', '1') UNION ALL
    SELECT 'append_event, known', outcome FROM task_append_event(t, 'note', '1', k, 'once') UNION ALL
    SELECT 'append_events', outcome FROM task_append_events(t, '{late}', '{1}', k) UNION ALL
    SELECT 'register', outcome FROM task_register_compensation(t, k, 'late', 'undo') UNION ALL
    SELECT 'finalize, same', outcome || ' ' || f.state FROM task_finalize(t, k, says.state, '1', '2', 'why') f UNION ALL
    SELECT 'finalize, other', outcome || ' ' || f.state FROM task_finalize(t, k, says.state, '1', '3', 'why') f UNION ALL
    SELECT 'finalize, completed', outcome || ' ' || f.state FROM task_finalize(t, k, 'completed') f UNION ALL
    SELECT 'finalize_many', outcome || ' ' || f.state FROM task_finalize_many(ARRAY[t], ARRAY[k], '{quarantined}') f UNION ALL
    SELECT 'fail_attempt', outcome || ' ' || f.state FROM task_fail_attempt(t, k, '3', '1 h') f UNION ALL
    SELECT 'release', outcome FROM task_release(t, k, '1 h') UNION ALL
    SELECT 'cancel', outcome || ' ' || c.state FROM task_cancel(t, 'late') c UNION ALL
    SELECT 'cancel, force', outcome || ' ' || c.state FROM task_cancel(t, 'late', true) c UNION ALL
    SELECT 'create', outcome FROM task_create('q', '{"n": 1}', key => key) UNION ALL
    SELECT 'create, other', outcome FROM task_create('q', '{"n": 2}', key => key) $$;
-- By anybody else.
CREATE FUNCTION others_say(t bigint, k bigint) RETURNS TABLE (call text, outcome text) LANGUAGE sql AS $$
    SELECT 'start', outcome FROM task_start(t, k, '2 h') UNION ALL
    SELECT 'heartbeat', outcome FROM task_heartbeat(t, k, '2 h') UNION ALL
    SELECT 'append_event', outcome FROM task_append_event(t, 'late', '1', k) UNION ALL
    SELECT 'append_events', outcome FROM task_append_events(t, '{late}', '{1}', k) UNION ALL
    SELECT 'annotate', outcome FROM task_annotate(t, '{"late": 1}', k) UNION ALL
    SELECT 'register', outcome FROM task_register_compensation(t, k, 'late', 'undo') UNION ALL
    SELECT 'finalize', outcome || ' ' || f.state FROM task_finalize(t, k, 'completed') f UNION ALL
    SELECT 'finalize_many', outcome || ' ' || f.state FROM task_finalize_many(ARRAY[t], ARRAY[k], '{failed}') f UNION ALL
    SELECT 'fail_attempt', outcome || ' ' || f.state FROM task_fail_attempt(t, k, '3', '1 h') f UNION ALL
    SELECT 'release', outcome FROM task_release(t, k, '1 h') $$;
-- The state in which the caller would have it ended.
CREATE FUNCTION first_state(how text) RETURNS text LANGUAGE sql AS $$ SELECT CASE WHEN how LIKE 'compensat%' THEN 'failed' WHEN how = 'called off' THEN 'cancelled' WHEN how LIKE 'completed %' THEN 'completed' ELSE how END $$;
SET TimeZone = 'Asia/Kolkata';
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SELECT call, max(outcome) FILTER (WHERE how = 'completed') AS completed, max(outcome) FILTER (WHERE how = 'failed') AS failed, max(outcome) FILTER (WHERE how = 'cancelled') AS cancelled, max(outcome) FILTER (WHERE how = 'quarantined') AS quarantined, max(outcome) FILTER (WHERE how = 'compensated') AS compensated
FROM (SELECT how, call, outcome, row_number() OVER () AS n FROM ended, says(t, k, first_state(how), how)) s GROUP BY call ORDER BY min(n);
SELECT call, max(outcome) FILTER (WHERE how = 'called off') AS called_off, max(outcome) FILTER (WHERE how = 'compensation failed') AS compensation_failed, max(outcome) FILTER (WHERE how LIKE 'completed %') AS with_registrations
FROM (SELECT how, call, outcome, row_number() OVER () AS n FROM ended, says(t, k, first_state(how), how)) s GROUP BY call ORDER BY min(n);
-- A token that was never its own, one of before, and none that could be: all the same.
SELECT call, o.outcome, count(*) FROM ended, unnest(ARRAY[k + 1000000, k - 1, 0, -1]) other, others_say(t, other) o GROUP BY call, o.outcome ORDER BY 1, 2;
SELECT count(*) FROM task_reap();
SELECT count(*) FROM task_reap_owner('w', 9007199254740991);
SELECT count(*) FROM task_acquire_lease('q', 'w', '1 h', 100) l JOIN ended ON t = task_id;
SELECT queue_pause('q'), queue_resume('q');
SELECT how, whole(t) = before AS as_it_was FROM ended ORDER BY t;
RESET TimeZone;
RESET DateStyle;
RESET IntervalStyle;
SELECT how, whole(t) = before AS as_it_was FROM ended ORDER BY t;
SELECT holders, waiters FROM baton.slot_usage WHERE slot_key = 'key';

-- A run that has ended, in each of its ways.
CREATE TABLE over (how text PRIMARY KEY, run bigint, before text);
CREATE FUNCTION whole_run(run bigint) RETURNS text LANGUAGE sql SET TimeZone = 'UTC' SET DateStyle = 'ISO' AS $$
    SELECT concat_ws(E'\n', (SELECT r::text FROM baton.run r WHERE r.run_id = run), (SELECT string_agg(s::text, ' ' ORDER BY step_id) FROM baton.step s WHERE s.run_id = run),
        (SELECT string_agg(e::text, ' ' ORDER BY seq) FROM baton.event e WHERE tape_id = run), (SELECT string_agg(whole(task_id), ' ' ORDER BY task_id) FROM baton.task t WHERE t.run_id = run)) $$;
CREATE FUNCTION runs_over(how text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE run bigint; t bigint; k bigint; c record;
BEGIN
    run := (SELECT run_id FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "q", "needs": ["a"]}]}'));
    t := (SELECT task_id FROM task_list(run_id => run, name => 'a'));
    k := (SELECT lease_token FROM task_acquire_lease_by_id(t, 'w'));
    IF how IN ('compensated', 'quarantined') THEN PERFORM task_register_compensation(t, k, 'u', 'undo'); END IF;
    PERFORM task_finalize(t, k, 'completed');
    IF how = 'cancelled' THEN
        PERFORM workflow_cancel(run);
    ELSE
        t := (SELECT task_id FROM task_list(run_id => run, name => 'b'));
        k := (SELECT lease_token FROM task_acquire_lease_by_id(t, 'w'));
        PERFORM task_finalize(t, k, CASE how WHEN 'completed' THEN how ELSE 'failed' END);
    END IF;
    LOOP
        SELECT * INTO c FROM task_acquire_lease('undo', 'undoer');
        EXIT WHEN NOT FOUND;
        PERFORM task_finalize(c.task_id, c.lease_token, CASE how WHEN 'compensated' THEN 'completed' ELSE 'failed' END);
    END LOOP;
    INSERT INTO over VALUES (how, run, whole_run(run));
END $$;
SELECT how, runs_over(how) FROM unnest(ARRAY['completed', 'failed', 'cancelled', 'compensated', 'quarantined']) how;
SELECT how, state, counts FROM over, workflow_get(run) ORDER BY run;
CREATE FUNCTION more_items(run bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT min(outcome) FROM task_create_items('q', 'more', '{1}', run_id => run));
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE FUNCTION ends_again(run bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN workflow_finalize(run, 'completed');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SET TimeZone = 'Asia/Kolkata';
SELECT call, max(o.outcome) FILTER (WHERE how = 'completed') AS completed, max(o.outcome) FILTER (WHERE how = 'failed') AS failed, max(o.outcome) FILTER (WHERE how = 'cancelled') AS cancelled, max(o.outcome) FILTER (WHERE how = 'compensated') AS compensated, max(o.outcome) FILTER (WHERE how = 'quarantined') AS quarantined
FROM over, LATERAL (
    SELECT 1 AS n, 'pause' AS call, workflow_pause(run, 'here') AS outcome UNION ALL
    SELECT 2, 'resume', workflow_resume(run, 'here') UNION ALL
    SELECT 3, 'cancel', c.outcome || ' ' || c.state FROM workflow_cancel(run) c UNION ALL
    SELECT 4, 'cancel, force', c.outcome || ' ' || c.state FROM workflow_cancel(run, 'now', 'force') c UNION ALL
    SELECT 5, 'finalize', ends_again(run) UNION ALL
    SELECT 6, 'append_event', outcome FROM workflow_append_event(run, 'late', '1') UNION ALL
    SELECT 7, 'create_items', more_items(run) UNION ALL
    SELECT 8, 'dispatch', d.outcome FROM task_list(run_id => run, name => 'a') l, task_dispatch_successor(l.task_id, 'late', 'q') d UNION ALL
    SELECT 9, 'redrive', r.outcome FROM task_list(run_id => run, name => 'b', states => '{failed}') l, task_redrive(l.task_id) r) o GROUP BY call ORDER BY min(n);
RESET TimeZone;
SELECT how, whole_run(run) = before AS as_it_was FROM over ORDER BY run;

SELECT * FROM baton_check(true);
