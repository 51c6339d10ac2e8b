-- baton_check: each invariant fires when its rows are broken (by a superuser, with the triggers off), and only then.

SELECT queue_create('q', lease_ttl => '1 h');
-- A sound world: tasks in every state, a bounded group half done, one that has dispatched its successor.
SELECT outcome FROM unnest(ARRAY['ready', 'done', 'running', 'running2', 'scheduled']) key, task_create('q', key => key, run_at => CASE key WHEN 'scheduled' THEN clock_timestamp() + interval '1 h' END);
SELECT task_id AS done FROM task_get_by_key('q', 'done') \gset
SELECT lease_token AS l FROM task_acquire_lease_by_id(:done, 'w') \gset
SELECT outcome FROM task_append_event(:done, 'note', '1', :l, 'once');
SELECT outcome FROM task_append_event(:done, 'note', '2', :l);
SELECT outcome FROM task_finalize(:done, :l, 'completed');
SELECT task_id AS running FROM task_get_by_key('q', 'running') \gset
SELECT task_id AS running2 FROM task_get_by_key('q', 'running2') \gset
SELECT task_id AS ready FROM task_get_by_key('q', 'ready') \gset
SELECT a.outcome FROM task_acquire_lease_by_id(:running, 'gone') a;
SELECT r.outcome FROM task_get(:running) t, task_release(t.task_id, t.lease_token) r;
SELECT a.outcome FROM task_acquire_lease_by_id(:running, 'w') a;
SELECT a.outcome FROM task_acquire_lease_by_id(:running2, 'w') a;
SELECT outcome FROM task_append_event(:running, 'note');
SELECT outcome FROM task_append_event(:running, 'note');
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', ARRAY['0', '1', '2', '3']::jsonb[], max_parallel => 2, successor => 's') \gset
SELECT task_id AS i0 FROM task_items(:run, 'g', -1, 1) \gset
SELECT task_id AS i1 FROM task_items(:run, 'g', 0, 1) \gset
SELECT outcome FROM task_cancel(:i0);
SELECT run_id AS run2, task_id AS j FROM task_create_items('q', 'g', ARRAY['0']::jsonb[], successor => 's') \gset
SELECT outcome FROM task_cancel(:j);
SELECT queue_create('ends');
SELECT queue_create('told', on_final_queue => 'ends');
SELECT task_id AS told FROM task_create('told') \gset
SELECT outcome FROM task_cancel(:told);
SELECT task_id AS tells FROM task_get_by_key('ends', :'told') \gset
SELECT outcome, task_id AS again FROM task_redrive(:told) \gset
SELECT outcome FROM task_annotate(:again, '{"a": 1}');
SELECT * FROM baton_check();
SELECT * FROM baton_check(true);

-- Breaks something, shows which invariants fire by default and in full, and undoes it.
CREATE FUNCTION broken(what text) RETURNS TABLE (invariant text, object text, by_default boolean) LANGUAGE plpgsql AS $$
DECLARE rows int;
BEGIN
    BEGIN
        SET LOCAL session_replication_role = replica;
        EXECUTE what;
        GET DIAGNOSTICS rows = ROW_COUNT;
        IF rows = 0 THEN RAISE EXCEPTION 'nothing broken'; END IF;
        CREATE TEMP TABLE hit ON COMMIT DROP AS
            SELECT DISTINCT f.invariant, f.object, EXISTS (SELECT FROM baton_check() d WHERE (d.invariant, d.object, d.object_id, d.detail) = (f.invariant, f.object, f.object_id, f.detail)) AS by_default
            FROM baton_check(true) f;
        RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE = (SELECT coalesce(json_agg(hit ORDER BY hit.invariant, hit.object, hit.by_default), '[]') FROM hit);
    EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
        RETURN QUERY SELECT * FROM json_to_recordset(SQLERRM::json) r (invariant text, object text, by_default boolean);
    END;
END $$;
\t
\pset format unaligned
\echo A1: two tasks hold one token
SELECT * FROM broken(format('UPDATE baton.task_live SET lease_token = (SELECT lease_token FROM baton.task_live WHERE task_id = %s) WHERE task_id = %s', :running2, :running));
\echo A2: a token that was never drawn
SELECT * FROM broken(format('UPDATE baton.task_live SET lease_token = 1000000 WHERE task_id = %s', :running));
\echo A2: a token that does not grow
SELECT * FROM broken(format('UPDATE baton.task_live SET lease_token = 1 WHERE task_id = %s', :running));
\echo L3: live and done
SELECT * FROM broken(format('INSERT INTO baton.task_live (task_id, ready_seq, last_seq, queue_id, attempt, lost_leases, state, priority) SELECT task_id, 1, 0, queue_id, 0, 0, 2, 0 FROM baton.task_done WHERE task_id = %s', :done));
\echo L3: neither live nor done
SELECT * FROM broken(format('DELETE FROM baton.task_live WHERE task_id = %s', :ready));
SELECT * FROM broken(format('DELETE FROM baton.task_done WHERE task_id = %s', :done));
\echo L3: live and done without what was asked
SELECT * FROM broken(format('DELETE FROM baton.task WHERE task_id = %s', :ready));
SELECT * FROM broken(format('DELETE FROM baton.task WHERE task_id = %s', :done));
\echo L3: another queue, another priority
SELECT * FROM broken(format('UPDATE baton.task_live SET queue_id = 99 WHERE task_id = %s', :ready));
SELECT * FROM broken(format('UPDATE baton.task_live SET priority = 5 WHERE task_id = %s', :ready));
\echo L3: running, and nothing says when to look
SELECT * FROM broken(format('UPDATE baton.task_live SET check_at = NULL WHERE task_id = %s', :running));
\echo L3: a state that is none
SELECT * FROM broken(format('UPDATE baton.task_live SET state = 7 WHERE task_id = %s', :ready));
\echo L3: something is left of what was purged
SELECT * FROM broken('INSERT INTO baton.annotation (task_id, seq, at, role, metadata) VALUES (1000000, 1, now(), ''r'', ''{}'')');
SELECT * FROM broken('INSERT INTO baton.redrive (task_id, new_task_id) VALUES (1000000, 1)');
SELECT * FROM broken('INSERT INTO baton.dispatch (scope_id, successor, task_id) VALUES (1000000, ''s'', 1)');
\echo V1: nobody would look in time
SELECT * FROM broken(format('UPDATE baton.task_live SET check_at = lease_expires_at + interval ''1 min'' WHERE task_id = %s', :running));
\echo V1: a lane nobody looks into
SELECT * FROM broken('UPDATE baton.queue SET lanes = 0');
\echo V1: a place in line that was never drawn
SELECT * FROM broken(format('UPDATE baton.task_live SET ready_seq = 1000000 WHERE task_id = %s', :ready));
\echo E1: a gap, of a live task and of a finished one
SELECT * FROM broken(format('DELETE FROM baton.event WHERE tape_id = %s AND seq = 1', :running));
SELECT * FROM broken(format('DELETE FROM baton.event WHERE tape_id = %s AND seq = 2', :done));
\echo E1: an event that is not counted, of a live task and behind the final one
SELECT * FROM broken(format('INSERT INTO baton.event (tape_id, seq, at, kind) VALUES (%s, 100, now(), ''note'')', :running));
SELECT * FROM broken(format('INSERT INTO baton.event (tape_id, seq, at, kind) VALUES (%s, 100, now(), ''note'')', :done));
\echo E1: one seq twice
SELECT * FROM broken(format('UPDATE baton.event SET seq = (SELECT leased_seq FROM baton.task_live WHERE task_id = tape_id) WHERE tape_id = %s AND seq = 5', :running));
\echo E1: the count of a task
SELECT * FROM broken(format('UPDATE baton.task_live SET last_seq = last_seq + 1 WHERE task_id = %s', :running));
SELECT * FROM broken(format('UPDATE baton.task_done SET last_seq = last_seq + 1 WHERE task_id = %s', :done));
\echo E2: a second final event
SELECT * FROM broken(format('UPDATE baton.event SET kind = ''final'' WHERE tape_id = %s AND seq = 2', :done));
\echo D1: a dispatched successor is not there
SELECT * FROM broken(format('WITH s AS (DELETE FROM baton.task WHERE run_id = %s AND name = ''s'' RETURNING task_id) DELETE FROM baton.task_live USING s WHERE s.task_id = task_live.task_id', :run2));
\echo D2: a satisfied join was not dispatched
SELECT * FROM broken(format('DELETE FROM baton.dispatch WHERE scope_id = %s', :run2));
\echo D3: a successor was dispatched early
SELECT * FROM broken(format('WITH t AS (UPDATE baton.task SET run_id = %s WHERE run_id = %s AND name = ''s'' RETURNING task_id) INSERT INTO baton.dispatch (scope_id, successor, task_id) SELECT %1$s, ''s'', task_id FROM t', :run, :run2));
\echo D4: counters
SELECT * FROM broken('UPDATE baton.step_count SET remaining = remaining + 1 WHERE remaining > 0');
SELECT * FROM broken('UPDATE baton.step_count SET completed = completed + 1 WHERE remaining > 0');
SELECT * FROM broken('UPDATE baton.step SET open_shards = open_shards - 1 WHERE open_shards > 1');
SELECT * FROM broken(format('UPDATE baton.step_count SET failed = failed + 1 FROM baton.step s WHERE s.step_id = step_count.step_id AND s.run_id = %s AND s.name = ''g''', :run2));
\echo D4: an item is missing
SELECT * FROM broken(format('WITH t AS (DELETE FROM baton.task_done WHERE task_id = %s) DELETE FROM baton.task WHERE task_id = %1$s', :i0));
\echo S1: more or fewer slots than are counted, fewer than the capacity
SELECT * FROM broken('INSERT INTO baton.slot (slot_key, holder) SELECT k.slot_key, l.task_id FROM baton.slot_key k JOIN baton.task_live l ON l.waits_for = k.slot_key LIMIT 1');
SELECT * FROM broken('INSERT INTO baton.slot (slot_key, free_seq) SELECT slot_key, 1 FROM baton.slot_key');
SELECT * FROM broken(format('DELETE FROM baton.slot WHERE holder = %s', :i1));
SELECT * FROM broken('UPDATE baton.slot_key SET slots = slots + 1');
SELECT * FROM broken('UPDATE baton.slot_key SET capacity = 3');
\echo S1: slots of nothing
SELECT * FROM broken('INSERT INTO baton.slot (slot_key, free_seq) VALUES (1000000, 1)');
SELECT * FROM broken('DELETE FROM baton.slot_key');
\echo Nothing: a key that was lowered drains, and gives nothing out meanwhile
SELECT * FROM broken('UPDATE baton.slot_key SET capacity = 1');
SELECT * FROM broken('WITH s AS (UPDATE baton.slot_key SET capacity = 1, slots = 3) INSERT INTO baton.slot (slot_key, free_seq) SELECT slot_key, 1 FROM baton.slot_key');
\echo S2: a slot whose holder is not entitled to it
SELECT * FROM broken(format('UPDATE baton.slot SET holder = %s WHERE holder = %s', :done, :i1));
\echo S2: ready without a slot, and S4: a free slot while others wait
SELECT * FROM broken(format('UPDATE baton.slot SET holder = NULL, free_seq = 1 WHERE holder = %s', :i1));
\echo S4 alone, and not if the hand-over is due
SELECT * FROM broken('WITH s AS (UPDATE baton.slot_key SET capacity = 3, slots = 3) INSERT INTO baton.slot (slot_key, free_seq) SELECT slot_key, 1 FROM baton.slot_key');
SELECT * FROM broken('WITH s AS (UPDATE baton.slot_key SET capacity = 3, slots = 3), d AS (INSERT INTO baton.due (due_id, slot_key, freed, queue_id) SELECT 1000000, slot_key, true, queue_ids[1] FROM baton.slot_key)
    INSERT INTO baton.slot (slot_key, free_seq) SELECT slot_key, 1 FROM baton.slot_key');
\echo S4: the line of those who have moved there is one, too
SELECT * FROM broken('WITH w AS (UPDATE baton.task_live SET waits_for = -waits_for WHERE waits_for IS NOT NULL), s AS (UPDATE baton.slot_key SET capacity = 3, slots = 3) INSERT INTO baton.slot (slot_key, free_seq) SELECT slot_key, 1 FROM baton.slot_key');
\echo S2: in a line that nobody looks into
SELECT * FROM broken('UPDATE baton.slot_key SET lanes = 0');
SELECT * FROM broken('UPDATE baton.slot_key SET queue_ids = ''{}''');
\echo L3: what it needs is not what was asked
SELECT * FROM broken(format('UPDATE baton.task_live SET slot_keys = NULL WHERE task_id = %s', :i1));
SELECT * FROM broken(format('UPDATE baton.task SET slot_keys = slot_keys || 1000000::bigint WHERE task_id = %s', :i1));
\echo F1: what tells of an end is not there
SELECT * FROM broken(format('WITH t AS (DELETE FROM baton.task_live WHERE task_id = %s) DELETE FROM baton.task WHERE task_id = %1$s', :tells));
\echo F1: told before the end
SELECT * FROM broken(format('UPDATE baton.task_live SET on_final_of = %s WHERE task_id = %s', :again, :tells));
\echo V1: a task waits in a queue that was dropped
SELECT * FROM broken('UPDATE baton.queue SET dropped_at = now() WHERE name = ''ends''');
\pset format aligned
\t
-- All of it was undone.
SELECT * FROM baton_check(true);

-- Runs: one that goes on, with slots of its own and of its steps; one paused by hand, one before a step, one whose only task has ended since; one that has
-- failed and waits for a task that runs; one that is being cancelled; some that have ended.
SELECT queue_create('f', lease_ttl => '1 h');
SELECT queue_create('g', lease_ttl => '1 h');
SELECT workflow_define('flow', '{"steps": [{"name": "a", "queue": "f", "with_items": "$.input", "max_parallel": 2}, {"name": "c", "queue": "f", "with_items": "$.input", "max_parallel": 2},
    {"name": "b", "queue": "f", "needs": ["a"]}, {"name": "h", "queue": "f", "needs": ["b"], "when": "failed"}], "max_parallel": 3}');
SELECT run_id AS flow FROM workflow_start('flow', '[1, 2, 3, 4]') \gset
SELECT f.outcome FROM task_items(:flow, 'c', -1, 1) i, task_acquire_lease_by_id(i.task_id, 'w') l, task_finalize(i.task_id, l.lease_token, 'completed') f;
SELECT step_id AS flow_a FROM baton.step WHERE run_id = :flow AND name = 'a' \gset
SELECT t.name, l.state, abs(l.waits_for) = :flow AS waits_for_the_runs, count(*) AS tasks, sum((SELECT count(*) FROM baton.slot WHERE holder = task_id)) AS slots
FROM baton.task_live l JOIN baton.task t USING (task_id) WHERE t.run_id = :flow GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT min(task_id) AS in_line, min(task_id) FILTER (WHERE l.state = 2) AS with_slots, min(task_id) FILTER (WHERE abs(l.waits_for) = :flow_a) AS waits_for_step, min(task_id) FILTER (WHERE abs(l.waits_for) = :flow) AS waits_for_run
FROM baton.task_live l JOIN baton.task t USING (task_id) WHERE t.run_id = :flow \gset
CREATE FUNCTION line(on_error text = 'fail', checkpoint text = NULL) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('on_error', $1, 'steps', jsonb_build_array('{"name": "a", "queue": "g"}'::jsonb,
        jsonb_strip_nulls(jsonb_build_object('name', 'b', 'queue', 'g', 'needs', '{a}'::text[], 'checkpoint', $2)))) $$;
CREATE FUNCTION work_off() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT f.outcome FROM task_acquire_lease('g', 'w', max_tasks => 10) l, task_finalize(l.task_id, l.lease_token, 'completed') f $$;
SELECT run_id AS before_b FROM workflow_start(definition => line(checkpoint => 'before')) \gset
SELECT run_id AS ended FROM workflow_start(definition => line()) \gset
SELECT work_off();
SELECT work_off();
SELECT run_id AS late FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "g"}]}') \gset
SELECT l.task_id AS t, l.lease_token AS l FROM task_acquire_lease('g', 'w') l \gset
SELECT workflow_pause(:late, 'by hand');
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT run_id AS failing FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "g", "with_items": "$.input"}, {"name": "h", "queue": "g", "needs": ["a"], "when": "failed"}]}', input => '[1, 2, 3]') \gset
SELECT l.task_id AS t, l.lease_token AS l FROM task_acquire_lease('g', 'w') l \gset
SELECT count(*) FROM task_acquire_lease('g', 'w');
SELECT outcome FROM task_finalize(:t, :l, 'failed');
SELECT run_id AS cancelling FROM workflow_start(definition => line()) \gset
SELECT count(*) FROM task_acquire_lease('g', 'w');
SELECT outcome FROM workflow_cancel(:cancelling);
SELECT run_id AS cancelled FROM workflow_start(definition => line()) \gset
SELECT outcome FROM workflow_cancel(:cancelled);
SELECT run_id AS paused FROM workflow_start(definition => line()) \gset
SELECT workflow_pause(:paused, 'by hand');
SELECT r.state, r.checkpoint, p.state AS shown, count(*) AS runs FROM baton.run r JOIN baton.workflow_progress p USING (run_id) WHERE r.workflow_id IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2;
SELECT * FROM baton_check(true);
\t
\pset format unaligned
\echo V1: blocked by nothing, in a run that goes on and in one that has failed
SELECT * FROM broken(format('UPDATE baton.task_live SET waits_for = NULL WHERE task_id = %s', :waits_for_step));
SELECT * FROM broken(format('UPDATE baton.run SET state = 0, checkpoint = NULL WHERE run_id = %s', :paused));
SELECT * FROM broken(format('UPDATE baton.run SET state = 4, checkpoint = NULL WHERE run_id = %s', :paused));
\echo V1: waits for a slot of another key, or in line already
SELECT * FROM broken(format('UPDATE baton.task_live SET waits_for = %s WHERE task_id = %s', :paused, :waits_for_step));
SELECT * FROM broken(format('UPDATE baton.task_live SET waits_for = -%s WHERE task_id = %s', :paused, :waits_for_step));
SELECT * FROM broken(format('UPDATE baton.task_live SET waits_for = slot_keys[1] WHERE task_id = %s', :with_slots));
\echo V1: scheduled for no time
SELECT * FROM broken('UPDATE baton.task_live SET run_at = NULL WHERE state = 0');
\echo L3: a definition is not there, of a run that is open and of one that has ended
SELECT * FROM broken(format('DELETE FROM baton.workflow w USING baton.run r WHERE r.workflow_id = w.workflow_id AND r.run_id = %s', :flow));
SELECT * FROM broken(format('DELETE FROM baton.workflow w USING baton.run r WHERE r.workflow_id = w.workflow_id AND r.run_id = %s', :ended));
\echo L3: a run is not there
SELECT * FROM broken(format('DELETE FROM baton.run WHERE run_id = %s', :flow));
SELECT * FROM broken(format('DELETE FROM baton.run WHERE run_id = %s', :ended));
\echo E1: a tape of nothing
SELECT * FROM broken('INSERT INTO baton.event (tape_id, seq, at, kind) VALUES (1000000, 1, now(), ''note'')');
\echo E1: a gap on the tape of a run that is open and of one that has ended
SELECT * FROM broken(format('DELETE FROM baton.event WHERE tape_id = %s AND seq = 2', :flow));
SELECT * FROM broken(format('DELETE FROM baton.event WHERE tape_id = %s AND seq = 2', :ended));
\echo E1: an event that is not counted, and the count
SELECT * FROM broken(format('INSERT INTO baton.event (tape_id, seq, at, kind) VALUES (%s, 100, now(), ''note'')', :flow));
SELECT * FROM broken(format('UPDATE baton.run SET last_seq = last_seq + 1 WHERE run_id = %s', :flow));
\echo E2: a run that goes on has a final event
SELECT * FROM broken(format('UPDATE baton.event SET kind = ''final'' WHERE tape_id = %s AND seq = 1', :flow));
\echo E2: a run that has ended has none, has two, has something behind it
SELECT * FROM broken(format('UPDATE baton.event SET kind = ''note'' WHERE tape_id = %s AND kind = ''final''', :ended));
SELECT * FROM broken(format('UPDATE baton.event SET kind = ''final'' WHERE tape_id = %s AND seq = 1', :ended));
SELECT * FROM broken(format('WITH r AS (UPDATE baton.run SET last_seq = last_seq + 1 WHERE run_id = %s RETURNING run_id, last_seq) INSERT INTO baton.event (tape_id, seq, at, kind) SELECT run_id, last_seq, now(), ''note'' FROM r', :ended));
\echo E2: a run that has ended says so in another state
SELECT * FROM broken(format('UPDATE baton.run SET state = 14 WHERE run_id = %s', :ended));
\echo D2: a step waits, and all that it needs has ended
SELECT * FROM broken(format('UPDATE baton.run SET state = 0, checkpoint = NULL WHERE run_id = %s', :before_b));
SELECT * FROM broken(format('UPDATE baton.run SET state = 4, checkpoint = NULL WHERE run_id = %s', :before_b));
\echo D2: a run whose steps have ended has not
SELECT * FROM broken(format('UPDATE baton.run SET state = 0, checkpoint = NULL WHERE run_id = %s', :late));
SELECT * FROM broken(format('UPDATE baton.run SET state = 4, checkpoint = NULL WHERE run_id = %s', :late));
SELECT * FROM broken(format('UPDATE baton.run SET state = 2, checkpoint = NULL WHERE run_id = %s', :late));
\echo D3: a step has started before what it needs has ended
SELECT * FROM broken(format('UPDATE baton.step SET started_at = now() WHERE run_id = %s AND name = ''b''', :flow));
\echo D4: the state of a step against its counters and its items
SELECT * FROM broken(format('UPDATE baton.step SET state = 10, finalized_at = now() WHERE run_id = %s AND name = ''c''', :flow));
SELECT * FROM broken(format('UPDATE baton.step SET state = 1, finalized_at = NULL WHERE run_id = %s AND name = ''a''', :late));
SELECT * FROM broken(format('UPDATE baton.step SET state = 11 WHERE run_id = %s AND name = ''a''', :ended));
SELECT * FROM broken(format('UPDATE baton.step SET state = 10 WHERE run_id = %s AND name = ''a''', :cancelled));
\echo D4: the total of a step, and how a task of it ended
SELECT * FROM broken(format('UPDATE baton.step SET total = total + 1 WHERE run_id = %s AND name = ''c''', :flow));
SELECT * FROM broken(format('UPDATE baton.task_done d SET state = 14 FROM baton.task t WHERE t.task_id = d.task_id AND d.state = 11 AND t.run_id = %s', :failing));
\echo D4: items that will never be tasks
SELECT * FROM broken(format('INSERT INTO baton.step_batch (step_id, first_index, payloads) SELECT step_id, 1, ''{}'' FROM baton.step WHERE run_id = %s AND name = ''a''', :ended));
SELECT * FROM broken(format('INSERT INTO baton.step_batch (step_id, first_index, payloads) SELECT step_id, 1, ''{1}'' FROM baton.step WHERE run_id = %s AND name = ''b''', :flow));
SELECT * FROM broken('INSERT INTO baton.step_batch (step_id, first_index, payloads) VALUES (1000000, 1, ''{}'')');
\echo C1: a run has ended, a step has not
SELECT * FROM broken(format('UPDATE baton.run SET state = 12, finalized_at = now() WHERE run_id = %s', :flow));
\echo C2: a run is being cancelled, and something waits
SELECT * FROM broken(format('UPDATE baton.run SET state = 2 WHERE run_id = %s', :flow));
SELECT * FROM broken(format('UPDATE baton.step SET state = 0, finalized_at = NULL WHERE run_id = %s AND name = ''b''', :cancelling));
SELECT * FROM broken(format('UPDATE baton.run SET state = 2, checkpoint = NULL WHERE run_id = %s', :paused));
\echo S2: with a slot of one of two keys
SELECT * FROM broken(format('UPDATE baton.slot SET holder = NULL, free_seq = 1 WHERE holder = %s AND slot_key = %s', :with_slots, :flow));
SELECT * FROM broken(format('UPDATE baton.slot SET holder = NULL, free_seq = 1 WHERE holder = %s AND slot_key <> %s', :with_slots, :flow));
\echo S2: in line, and holds a slot
SELECT * FROM broken(format('UPDATE baton.slot SET holder = %s WHERE holder = %s AND slot_key = %s', :waits_for_step, :with_slots, :flow));
SELECT * FROM broken(format('UPDATE baton.slot SET holder = %s WHERE holder = %s AND slot_key = %s', :waits_for_run, :with_slots, :flow));
SELECT * FROM broken(format('UPDATE baton.slot SET holder = %s WHERE holder = %s AND slot_key = %s', :waits_for_step, :with_slots, :flow_a));
\echo S2: with a slot of a key that it does not need
SELECT * FROM broken(format('WITH a AS (UPDATE baton.task_live SET slot_keys = ARRAY[%s] WHERE task_id = %s) UPDATE baton.task SET slot_keys = ARRAY[%1$s] WHERE task_id = %2$s', :flow, :with_slots));
\echo S2: with slots of a run that is paused
SELECT * FROM broken(format('UPDATE baton.task_live SET state = 1 WHERE task_id = %s', :with_slots));
\echo S1: of a run, and of a step
SELECT * FROM broken(format('UPDATE baton.slot_key SET capacity = capacity + 1 WHERE slot_key = %s', :flow));
SELECT * FROM broken(format('UPDATE baton.slot_key SET slots = slots - 1 WHERE slot_key = %s', :flow_a));
\echo S2: the key that a task of a run waits for
SELECT * FROM broken(format('UPDATE baton.slot_key SET lanes = 0 WHERE slot_key = %s', :flow));
SELECT * FROM broken(format('UPDATE baton.slot_key SET queue_ids = ''{}'' WHERE slot_key = %s', :flow_a));
\echo Nothing: it is due
\set due 'INSERT INTO baton.due (due_id, step_id, queue_id) SELECT 1000000, s.step_id, s.queue_id FROM baton.step s JOIN r USING (run_id) LIMIT 1'
SELECT * FROM broken(format('WITH r AS (UPDATE baton.run SET state = 0, checkpoint = NULL WHERE run_id = %s RETURNING run_id) %s', :before_b, :'due'));
SELECT * FROM broken(format('WITH r AS (UPDATE baton.run SET state = 0, checkpoint = NULL WHERE run_id = %s RETURNING run_id) %s', :late, :'due'));
SELECT * FROM broken(format('WITH r AS (UPDATE baton.run SET state = 4, checkpoint = NULL WHERE run_id = %s RETURNING run_id) %s', :paused, :'due'));
\pset format aligned
\t
SELECT * FROM baton_check(true);

-- Sagas: tasks that have registered compensations, and what became of them.
SELECT queue_create(name, lease_ttl => '1 h', max_attempts => 1) FROM unnest(ARRAY['s', 'undo', 'undo task', 'undo run']) name;
CREATE FUNCTION work_and(ended text, registrations int, undone_in text = 'undo', task bigint = NULL, slot_keys text[] = NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    id bigint := coalesce(task, (SELECT c.task_id FROM task_create('s', slot_keys => work_and.slot_keys) c));
    token bigint := (SELECT l.lease_token FROM task_acquire_lease_by_id(id, 'w') l);
BEGIN
    PERFORM task_register_compensation(id, token, 'undo ' || n, undone_in) FROM generate_series(1, registrations) n;
    PERFORM task_finalize(id, token, ended);
    RETURN id;
END $$;
-- The next compensation in a queue ends.
CREATE FUNCTION undo(ended text = 'completed', queue text = 'undo') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome FROM task_acquire_lease(queue, 'w') l, task_finalize(l.task_id, l.lease_token, ended) f $$;
-- Undone; not undone, because a compensation gave up; completed, and never undone; in a group: failed and undone, cancelled and undone.
SELECT work_and('failed', 2) AS undone \gset
SELECT undo(), undo();
SELECT work_and('cancelled', 2) AS gave_up \gset
SELECT undo('failed');
SELECT work_and('completed', 1) AS kept \gset
SELECT run_id AS some_undone FROM task_create_items('s', 'g', ARRAY['0', '1', '2']::jsonb[]) LIMIT 1 \gset
SELECT work_and(e.ended, 1, task => i.task_id) IS NOT NULL AS ended, undo() FROM task_items(:some_undone, 'g') i JOIN (VALUES (0, 'failed'), (1, 'cancelled')) e (item, ended) ON e.item = i.item_index ORDER BY item;
-- A run that was undone.
SELECT run_id AS run_undone, task_id AS item_undone FROM task_create_items('s', 'g', ARRAY['0']::jsonb[]) \gset
SELECT work_and('completed', 2, task => :item_undone) = :item_undone AS ended;
SELECT workflow_finalize(:run_undone, 'failed');
SELECT undo(), undo();
-- A task and a run that are being undone: of three compensations one is done, one in line, one to come. The task keeps its slots.
SELECT slot_set(key, 1) FROM unnest(ARRAY['k1', 'k2']) key;
SELECT work_and('failed', 3, 'undo task', slot_keys => '{k1,k2}') AS undoing \gset
SELECT undo(queue => 'undo task');
SELECT run_id AS run_undoing, task_id AS item_undoing FROM task_create_items('s', 'g', ARRAY['0']::jsonb[]) \gset
SELECT work_and('completed', 3, 'undo run', :item_undoing) = :item_undoing AS ended;
SELECT workflow_finalize(:run_undoing, 'failed');
SELECT undo(queue => 'undo run');
SELECT t.what, g.state, g.reason, string_agg(c.compensation_no || ' ' || c.state, ', ' ORDER BY c.compensation_no) AS compensations, (SELECT count(*) FROM baton.slot WHERE holder = t.id) AS slots
FROM (VALUES (1, 'undone', :undone), (2, 'gave up', :gave_up), (3, 'kept', :kept), (4, 'item of the run undone', :item_undone), (5, 'undoing', :undoing), (6, 'item of the run undoing', :item_undoing)) t (n, what, id), task_get(t.id) g, task_compensations(t.id) c
GROUP BY t.n, t.what, t.id, g.state, g.reason ORDER BY t.n;
SELECT t.what, g.state, g.counts FROM (VALUES (1, 'some undone', :some_undone), (2, 'run undone', :run_undone), (3, 'run undoing', :run_undoing)) t (n, what, id), workflow_get(t.id) g ORDER BY t.n;
SELECT * FROM baton_check();
SELECT * FROM baton_check(true);
\t
\pset format unaligned
\echo G1: no compensation is under way, or two are
SELECT * FROM broken(format('UPDATE baton.task_live SET compensates = NULL WHERE compensates = %s', :undoing));
SELECT * FROM broken(format('UPDATE baton.task_live SET compensates = NULL WHERE compensates = %s', :run_undoing));
SELECT * FROM broken(format('WITH c AS (UPDATE baton.compensation SET compensation_task_id = %s WHERE task_id = %s AND compensation_no = 1) UPDATE baton.task_live SET compensates = %2$s WHERE task_id = %1$s', :ready, :undoing));
SELECT * FROM broken(format('WITH c AS (UPDATE baton.compensation SET compensation_task_id = %s WHERE task_id = %s AND compensation_no = 1) UPDATE baton.task_live SET compensates = %s WHERE task_id = %1$s', :ready, :item_undoing, :run_undoing));
SELECT * FROM broken(format('WITH u AS (DELETE FROM baton.task_live WHERE compensates = %s RETURNING task_id) DELETE FROM baton.task USING u WHERE task.task_id = u.task_id', :undoing));
\echo Nothing: what follows is due, of the task and in the run
SELECT * FROM broken(format('WITH d AS (INSERT INTO baton.due (due_id, owner_id, queue_id) SELECT 1000000, task_id, queue_id FROM baton.task_live WHERE task_id = %s) UPDATE baton.task_live SET compensates = NULL WHERE compensates = %1$s', :undoing));
SELECT * FROM broken(format('WITH d AS (INSERT INTO baton.due (due_id, step_id, queue_id) SELECT 1000000, step_id, queue_id FROM baton.step WHERE run_id = %s) UPDATE baton.task_live SET compensates = NULL WHERE compensates = %1$s', :run_undoing));
\echo G1: how it ended first is not known
SELECT * FROM broken(format('DELETE FROM baton.saga WHERE task_id = %s', :undoing));
\echo G1: the count of compensations
SELECT * FROM broken(format('UPDATE baton.task_live SET registrations = registrations + 1 WHERE task_id = %s', :undoing));
SELECT * FROM broken(format('DELETE FROM baton.compensation WHERE task_id = %s AND compensation_no = 1', :undoing));
\echo G1: undoes what is not being undone
SELECT * FROM broken(format('UPDATE baton.task_live SET compensates = %s WHERE task_id = %s', :running, :ready));
SELECT * FROM broken(format('UPDATE baton.task_live SET compensates = %s WHERE task_id = %s', :undone, :ready));
SELECT * FROM broken(format('UPDATE baton.task_live SET compensates = %s WHERE task_id = %s', :run_undone, :ready));
\echo G1: out of order
SELECT * FROM broken(format('UPDATE baton.compensation SET compensation_no = 4 WHERE task_id = %s AND compensation_no = 1', :undoing));
SELECT * FROM broken(format('UPDATE baton.compensation SET compensation_no = 4 WHERE task_id = %s AND compensation_no = 1', :gave_up));
\echo G1: the ledger and the task do not agree on how a compensation ended
SELECT * FROM broken(format('UPDATE baton.compensation SET state = 11 WHERE task_id = %s AND compensation_no = 3', :undoing));
SELECT * FROM broken(format('UPDATE baton.compensation SET state = 10, finalized_at = now() WHERE task_id = %s AND compensation_no = 2', :undoing));
SELECT * FROM broken(format('UPDATE baton.compensation SET state = NULL, finalized_at = NULL WHERE task_id = %s AND compensation_no = 2', :gave_up));
SELECT * FROM broken(format('UPDATE baton.task_done d SET state = 14 FROM baton.compensation c WHERE d.task_id = c.compensation_task_id AND c.task_id = %s AND c.compensation_no = 2', :gave_up));
\echo G1: ended compensated, and not all was undone
SELECT * FROM broken(format('UPDATE baton.task_done SET state = 13 WHERE task_id = %s', :gave_up));
SELECT * FROM broken(format('WITH d AS (UPDATE baton.task_done d SET state = 11 FROM baton.compensation c WHERE d.task_id = c.compensation_task_id AND c.task_id = %s AND c.compensation_no = 1) UPDATE baton.compensation SET state = 11 WHERE task_id = %1$s AND compensation_no = 1', :undone));
SELECT * FROM broken(format('WITH d AS (UPDATE baton.task_done d SET state = 11 FROM baton.compensation c WHERE d.task_id = c.compensation_task_id AND c.task_id = %s AND c.compensation_no = 1) UPDATE baton.compensation SET state = 11 WHERE task_id = %1$s AND compensation_no = 1', :item_undone));
\echo G1: undone, and it was not to be
SELECT * FROM broken(format('UPDATE baton.task_done SET state = 11 WHERE task_id = %s', :undone));
SELECT * FROM broken(format('UPDATE baton.task_done SET state = 12 WHERE task_id = %s', :gave_up));
SELECT * FROM broken(format('UPDATE baton.compensation SET compensation_task_id = %s, state = 10, finalized_at = now() WHERE task_id = %s', :done, :kept));
SELECT * FROM broken(format('UPDATE baton.run SET state = 11 WHERE run_id = %s', :run_undone));
\echo G1: failed or cancelled, and what was registered was not run
SELECT * FROM broken(format('UPDATE baton.task_done SET state = 11 WHERE task_id = %s', :kept));
SELECT * FROM broken(format('UPDATE baton.task_done SET state = 12 WHERE task_id = %s', :kept));
SELECT * FROM broken(format('WITH c AS (UPDATE baton.compensation SET compensation_task_id = NULL, state = NULL, finalized_at = NULL WHERE run_id = %s) UPDATE baton.run SET state = 12 WHERE run_id = %1$s', :run_undone));
\echo L3: the ledger of what was purged
SELECT * FROM broken('INSERT INTO baton.compensation (compensation_id, task_id, registered_at, compensation_no, queue_id, name) VALUES (1000000, 1000000, now(), 1, 1, ''undo'')');
SELECT * FROM broken('INSERT INTO baton.saga (task_id, at, state, ended_by_lease) VALUES (1000000, now(), 11, true)');
\echo D4: what was undone is counted, and how it had ended first
SELECT * FROM broken(format('UPDATE baton.step_count c SET compensated = compensated + 1 FROM baton.step s WHERE s.step_id = c.step_id AND s.run_id = %s AND c.shard = 0', :some_undone));
SELECT * FROM broken(format('UPDATE baton.step_count c SET compensated_failed = compensated_failed + 1 FROM baton.step s WHERE s.step_id = c.step_id AND s.run_id = %s AND c.shard = 0', :some_undone));
SELECT * FROM broken(format('UPDATE baton.saga g SET state = 12 FROM baton.task t WHERE t.task_id = g.task_id AND t.run_id = %s AND g.state = 11', :some_undone));
SELECT * FROM broken(format('UPDATE baton.task_done d SET state = 11 FROM baton.task t WHERE t.task_id = d.task_id AND t.run_id = %s AND t.item_index = 0', :some_undone));
\echo S2: compensating with one of two slots; with none, it was called off before it was ready again
SELECT * FROM broken(format('WITH k AS (SELECT slot_key FROM baton.slot_key WHERE name = ''k1'') UPDATE baton.slot s SET holder = NULL, free_seq = 1 FROM k WHERE s.slot_key = k.slot_key AND s.holder = %s', :undoing));
SELECT * FROM broken(format('UPDATE baton.slot s SET holder = NULL, free_seq = 1 WHERE s.holder = %s', :undoing));
\pset format aligned
\t
-- All of it was undone.
SELECT * FROM baton_check(true);

-- A step so wide that not all of its items are tasks yet, bounded and not.
SELECT run_id AS wide FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "g", "with_items": "$.input[*]", "max_parallel": 2}, {"name": "b", "queue": "g", "with_items": "$.input[*]"}]}', input => (SELECT jsonb_agg(n) FROM generate_series(1, 1002) n)) \gset
SELECT s.name, s.total, b.first_index, b.queue_id IS NULL AS bounded, cardinality(b.payloads) AS items FROM baton.step s JOIN baton.step_batch b USING (step_id) ORDER BY 1, 3;
SELECT * FROM baton_check(true);
\t
\pset format unaligned
\echo D4: items are missing, and too many
SELECT * FROM broken('DELETE FROM baton.step_batch WHERE queue_id IS NULL');
SELECT * FROM broken('DELETE FROM baton.step_batch WHERE queue_id IS NOT NULL');
SELECT * FROM broken('UPDATE baton.step_batch SET payloads = payloads || ''{1}''::jsonb[]');
\echo V1: a slot is free, nobody waits for it, and there are items that are no tasks; not if it is due
\set dry 'WITH l AS (UPDATE baton.task_live l SET state = 0, waits_for = NULL, run_at = now() FROM baton.step s WHERE s.step_id = l.step_id AND s.name = ''a'' AND s.run_id = %s RETURNING s.step_id)'
SELECT * FROM broken(format(:'dry', :wide) || ' UPDATE baton.slot SET holder = NULL, free_seq = 1 WHERE slot_key IN (SELECT step_id FROM l)');
SELECT * FROM broken(format(:'dry', :wide) || ', d AS (INSERT INTO baton.due (due_id, slot_key, freed, queue_id) SELECT 1000000, k.slot_key, true, k.queue_ids[1] FROM l JOIN baton.slot_key k ON k.slot_key = l.step_id LIMIT 1) UPDATE baton.slot SET holder = NULL, free_seq = 1 WHERE slot_key IN (SELECT step_id FROM l)');
\echo D4: items of a step that has been called off
SELECT * FROM broken(format('UPDATE baton.step_count c SET forgotten = forgotten + 2, cancelled = cancelled + 2, remaining = remaining - 2 FROM baton.step s WHERE s.step_id = c.step_id AND s.run_id = %s AND s.name = ''a'' AND c.shard = 0', :wide));
\pset format aligned
\t
SELECT outcome FROM workflow_cancel(:wide);

-- All of it was undone.
SELECT * FROM baton_check(true);
-- Its columns.
SELECT * FROM baton_check(full => false);
