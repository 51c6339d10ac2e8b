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
        RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE = (SELECT json_agg(hit ORDER BY hit.invariant, hit.object, hit.by_default) FROM hit);
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
-- Its columns.
SELECT * FROM baton_check(full => false);
