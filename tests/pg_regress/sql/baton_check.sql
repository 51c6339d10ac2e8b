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
\echo S1: more holders than the capacity
SELECT * FROM broken('UPDATE baton.slot_key SET capacity = 1');
\echo S2: a slot whose holder is not entitled to it
SELECT * FROM broken(format('UPDATE baton.slot SET holder = %s WHERE holder = %s', :done, :i1));
\echo S2: ready without a slot, and S4: a free slot while others wait
SELECT * FROM broken(format('UPDATE baton.slot SET holder = NULL WHERE holder = %s', :i1));
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
SELECT f.outcome FROM task_acquire_lease('f', 'w', max_tasks => 1) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT slot_key AS flow_a FROM baton.task_live WHERE step_id = (SELECT step_id FROM baton.step WHERE run_id = :flow AND name = 'a') LIMIT 1 \gset
SELECT t.name, l.state, l.waits_for = :flow AS waits_for_the_runs, count(*) AS tasks, sum((SELECT count(*) FROM baton.slot WHERE holder = task_id)) AS slots
FROM baton.task_live l JOIN baton.task t USING (task_id) WHERE t.run_id = :flow GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT min(task_id) AS in_line, min(task_id) FILTER (WHERE l.state = 2) AS with_slots, min(task_id) FILTER (WHERE l.waits_for = l.slot_key) AS waits_for_step, min(task_id) FILTER (WHERE l.waits_for = l.run_slot_key) AS waits_for_run
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
SELECT * FROM broken(format('UPDATE baton.task_live SET waits_for = slot_key WHERE task_id = %s', :with_slots));
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
SELECT * FROM broken(format('UPDATE baton.slot SET holder = NULL WHERE holder = %s AND slot_key = %s', :with_slots, :flow));
SELECT * FROM broken(format('UPDATE baton.slot SET holder = NULL WHERE holder = %s AND slot_key <> %s', :with_slots, :flow));
\echo S2: with a slot of the run before one of the step
SELECT * FROM broken(format('UPDATE baton.slot SET holder = %s WHERE holder = %s AND slot_key = %s', :waits_for_step, :with_slots, :flow));
\echo S2: with the slot that it waits for
SELECT * FROM broken(format('UPDATE baton.task_live SET waits_for = slot_key WHERE task_id = %s', :waits_for_run));
\echo S2: with slots of a run that is paused
SELECT * FROM broken(format('UPDATE baton.task_live SET state = 1 WHERE task_id = %s', :with_slots));
\echo S1: of a run, and of a step
SELECT * FROM broken(format('UPDATE baton.slot_key SET capacity = 2 WHERE slot_key = %s', :flow));
SELECT * FROM broken(format('UPDATE baton.slot_key SET capacity = 0 WHERE slot_key = %s', :flow_a));
\echo Nothing: it is due
\set due 'INSERT INTO baton.due (due_id, step_id, queue_id) SELECT 1000000, s.step_id, s.queue_id FROM baton.step s JOIN r USING (run_id) LIMIT 1'
SELECT * FROM broken(format('WITH r AS (UPDATE baton.run SET state = 0, checkpoint = NULL WHERE run_id = %s RETURNING run_id) %s', :before_b, :'due'));
SELECT * FROM broken(format('WITH r AS (UPDATE baton.run SET state = 0, checkpoint = NULL WHERE run_id = %s RETURNING run_id) %s', :late, :'due'));
SELECT * FROM broken(format('WITH r AS (UPDATE baton.run SET state = 4, checkpoint = NULL WHERE run_id = %s RETURNING run_id) %s', :paused, :'due'));
\pset format aligned
\t
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
\echo D4: items of a step that has been called off
SELECT * FROM broken(format('UPDATE baton.step_count c SET forgotten = forgotten + 2, cancelled = cancelled + 2, remaining = remaining - 2 FROM baton.step s WHERE s.step_id = c.step_id AND s.run_id = %s AND s.name = ''a'' AND c.shard = 0', :wide));
\pset format aligned
\t
SELECT outcome FROM workflow_cancel(:wide);

-- All of it was undone.
SELECT * FROM baton_check(true);
-- Its columns.
SELECT * FROM baton_check(full => false);
