-- Work of every kind that was begun under the earlier release goes on after ALTER EXTENSION, in sessions that were there before and in new ones.

SELECT queue_create('work', lease_ttl => '10 min'), queue_create('undo', lease_ttl => '10 min'), queue_create('told'), queue_create('gone'), queue_create('halted') \gset
SELECT queue_alter('work', on_final_queue => 'told', on_final_states => '{failed,quarantined,compensated}'), queue_alter('default', max_attempts => 2), queue_drop('gone'), queue_pause('halted'),
       slot_set('narrow', 1) \gset
CREATE ROLE regress_worker;
SELECT baton_grant('regress_worker', 'work', 'work'), baton_grant('regress_worker', 'produce', 'work') \gset

-- Tasks: ready, scheduled, blocked, leased, started, asked to stop, overdue, and ended in every way.
SELECT outcome, state FROM task_create('default', key => 'ready', priority => 9, metadata => '{"a": 1}');
SELECT outcome, state FROM task_create('halted', key => 'scheduled', run_at => clock_timestamp() + interval '1 hour');
SELECT outcome, state FROM task_create('work', key => 'holder', slot_keys => '{narrow}');
SELECT outcome, state FROM task_create('work', key => 'waiter', slot_keys => '{narrow}');
SELECT count(*) FROM unnest('{leased,started,stopped,overdue,completed,failed,cancelled,forced,again,tape}'::text[]) key, task_create('work', key => key, max_attempts => 1);
CREATE TABLE lease (key text PRIMARY KEY, task_id bigint NOT NULL, lease_token bigint NOT NULL);
INSERT INTO lease SELECT t.key, t.task_id, a.lease_token
  FROM unnest('{holder,leased,started,stopped,overdue,completed,failed,cancelled,again,tape}'::text[]) key, task_get_by_key('work', key) t,
       task_acquire_lease_by_id(t.task_id, 'before', CASE WHEN t.key = 'overdue' THEN interval '100 ms' END) a;
CREATE FUNCTION lease(key text) RETURNS lease LANGUAGE sql AS 'SELECT lease FROM lease WHERE lease.key = $1';
SELECT outcome FROM lease('started') l, task_start(l.task_id, l.lease_token);
SELECT outcome FROM lease('stopped') l, task_cancel(l.task_id, 'enough');
SELECT outcome, state FROM lease('completed') l, task_finalize(l.task_id, l.lease_token, 'completed', '{"n": 1}');
SELECT outcome, state FROM lease('failed') l, task_fail_attempt(l.task_id, l.lease_token, '{"code": 7}');
SELECT outcome, state FROM lease('cancelled') l, task_finalize(l.task_id, l.lease_token, 'cancelled');
SELECT c.outcome, c.state FROM task_get_by_key('work', 'forced') t, task_cancel(t.task_id, force => true) c;
SELECT outcome FROM lease('again') l, task_release(l.task_id, l.lease_token);
SELECT outcome, seq FROM lease('tape') l, task_append_event(l.task_id, 'progress', '{"percent": 50}', l.lease_token, 'half');
SELECT outcome FROM lease('tape') l, task_annotate(l.task_id, '{"seen": true}', l.lease_token);
SELECT outcome FROM lease('completed') l, task_annotate(l.task_id, '{"looked_at": true}');

-- A group: one item has ended, one is leased, one is ready.
SELECT run_id AS grouped FROM task_create_items('work', 'item', '{"0","1","2"}', max_parallel => 2, successor => 'sum') LIMIT 1 \gset
INSERT INTO lease SELECT 'item ' || i.item_index, i.task_id, a.lease_token FROM task_items(:grouped, 'item') i, task_acquire_lease_by_id(i.task_id, 'before') a WHERE i.item_index < 2;
SELECT outcome FROM lease('item 0') l, task_finalize(l.task_id, l.lease_token, 'completed', '"zero"');
SELECT item_index, state FROM task_items(:grouped, 'item');

-- Runs: one at a checkpoint, one paused because a task has failed, one with more items than are tasks.
SELECT workflow_define('gated', '{"steps": [{"name": "a", "queue": "work"}, {"name": "b", "queue": "work", "needs": ["a"], "checkpoint": "look", "payload": {"from": "$.steps.a.result"}}]}');
SELECT run_id AS gated FROM workflow_start('gated', key => 'gated') \gset
SELECT f.outcome FROM task_items(:gated, 'a') i, task_acquire_lease_by_id(i.task_id, 'before') a, task_finalize(i.task_id, a.lease_token, 'completed', '{"x": 1}') f;
SELECT run_id AS broken FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "work", "max_attempts": 1}, {"name": "b", "queue": "work", "needs": ["a"]}], "on_error": "pause"}') \gset
SELECT f.outcome FROM task_items(:broken, 'a') i, task_acquire_lease_by_id(i.task_id, 'before') a, task_finalize(i.task_id, a.lease_token, 'failed') f;
SELECT run_id AS wide FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "work", "with_items": "$.input[*]", "max_parallel": 5}]}', input => (SELECT jsonb_agg(i) FROM generate_series(1, 1200) i)) \gset
SELECT state, checkpoint FROM unnest(ARRAY[:gated, :broken, :wide]) run, workflow_get(run);

-- A saga that is half undone.
SELECT task_id AS saga FROM task_create('work', key => 'saga') \gset
SELECT lease_token AS token FROM task_acquire_lease_by_id(:saga, 'before') \gset
SELECT outcome FROM unnest('{first,second}'::text[]) name, task_register_compensation(:saga, :token, name, 'undo');
SELECT outcome, state FROM task_finalize(:saga, :token, 'failed', reason => 'declined');
SELECT name, outcome FROM task_acquire_lease('undo', 'before') a, task_finalize(a.task_id, a.lease_token, 'completed');

SELECT pg_sleep(0.2);
SELECT * FROM baton_check(true);

-- What there is to see of it, before and after.
CREATE VIEW seen AS
    WITH t AS MATERIALIZED (SELECT task_id FROM task_list(max_tasks => 1000) WHERE coalesce(item_index, 0) < 3), r AS MATERIALIZED (SELECT run_id FROM baton.workflow_progress)
    SELECT 'task' AS what, to_jsonb(g) AS as_it_is FROM t, task_get(t.task_id) g
    UNION ALL SELECT 'event', to_jsonb(e) FROM t, task_events(t.task_id) e
    UNION ALL SELECT 'annotation', to_jsonb(a) FROM t, task_annotations(t.task_id) a
    UNION ALL SELECT 'compensation', to_jsonb(c) FROM t, task_compensations(t.task_id) c
    UNION ALL SELECT 'run', to_jsonb(g) FROM r, workflow_get(r.run_id) g
    UNION ALL SELECT 'step', to_jsonb(s) FROM r, workflow_steps(r.run_id) s
    UNION ALL SELECT 'event of a run', to_jsonb(e) FROM r, workflow_events(r.run_id) e
    UNION ALL SELECT 'queue', to_jsonb(q) - 'oldest_ready_age' FROM baton.queue_stats q
    UNION ALL SELECT 'lease', to_jsonb(l) FROM baton.leases l
    UNION ALL SELECT 'slot', to_jsonb(s) FROM baton.slot_usage s
    UNION ALL SELECT 'privilege', to_jsonb(p.oid::regprocedure || ' ' || has_function_privilege('regress_worker', p.oid, 'EXECUTE')) FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace;
CREATE TABLE before AS SELECT * FROM seen;
SELECT what, count(*) > 0 AS some FROM before GROUP BY what ORDER BY what COLLATE "C";
CREATE TABLE highest AS SELECT last_value AS lease_token FROM baton.token_seq;

ALTER EXTENSION pg_baton UPDATE;

SELECT what, count(*) FROM (TABLE before EXCEPT ALL TABLE seen) gone GROUP BY what;
SELECT what, count(*) FROM (TABLE seen EXCEPT ALL TABLE before) new GROUP BY what;
SELECT * FROM baton_check(true);

-- This session goes on. What was leased is leased, by who holds it and nobody else.
SELECT l.key, h.outcome, h.cancel_requested FROM unnest('{leased,started,stopped,overdue,completed,tape,item 1}'::text[]) k, lease(k) l, task_heartbeat(l.task_id, l.lease_token, '1 hour') h;
SELECT outcome, held_by FROM lease('leased') l, task_acquire_lease_by_id(l.task_id, 'after');
SELECT outcome FROM lease('overdue') l, task_acquire_lease_by_id(l.task_id, 'after');
-- Answers given before are given again, and old tokens are worth no more than before.
SELECT outcome, state FROM lease('completed') l, task_finalize(l.task_id, l.lease_token, 'completed', '{"n": 1}');
SELECT outcome, state FROM lease('completed') l, task_finalize(l.task_id, l.lease_token, 'failed');
SELECT outcome, state FROM lease('failed') l, task_fail_attempt(l.task_id, l.lease_token, '{"code": 7}');
SELECT outcome FROM lease('again') l, task_release(l.task_id, l.lease_token);
SELECT outcome FROM lease('overdue') l, task_finalize(l.task_id, l.lease_token, 'completed');
SELECT outcome, seq FROM lease('tape') l, task_append_event(l.task_id, 'progress', '{"percent": 50}', l.lease_token, 'half');
SELECT outcome, seq FROM lease('tape') l, task_append_event(l.task_id, 'progress', '{"percent": 60}', l.lease_token, 'more');
SELECT outcome, state FROM task_create('work', key => 'completed');
SELECT outcome FROM workflow_start('gated', key => 'gated');
SELECT workflow_define('gated', '{"steps": [{"name": "a", "queue": "work"}, {"name": "b", "queue": "work", "needs": ["a"], "checkpoint": "look", "payload": {"from": "$.steps.a.result"}}]}');
-- A slot is handed on.
SELECT outcome FROM lease('holder') l, task_finalize(l.task_id, l.lease_token, 'completed');
SELECT state FROM task_get_by_key('work', 'waiter');

-- So does a new one.
\c
SELECT l.key, outcome FROM unnest('{leased,started,tape}'::text[]) k, lease(k) l, task_finalize(l.task_id, l.lease_token, 'completed');
SELECT outcome FROM lease('stopped') l, task_finalize(l.task_id, l.lease_token, 'cancelled');
SELECT outcome, cardinality(dispatched) AS dispatched FROM lease('item 1') l, task_finalize(l.task_id, l.lease_token, 'completed', '"one"');
SELECT workflow_resume(:gated, 'look');
SELECT outcome FROM task_items(:broken, 'a') i, task_redrive(i.task_id);
SELECT workflow_resume(:broken, 'on_error');
SELECT outcome FROM task_get_by_key('work', 'failed') t, task_redrive(t.task_id);
SELECT queue_resume('halted'), slot_set('narrow', 2) \gset

-- A role that was granted work does what is left.
CREATE TABLE done (queue text, name text, outcome text, lease_token bigint);
GRANT INSERT ON done TO regress_worker;
CREATE PROCEDURE work_off(of_queue text) LANGUAGE plpgsql AS $$
DECLARE ended int;
BEGIN
    LOOP
        INSERT INTO done SELECT of_queue, a.name, f.outcome, a.lease_token
        FROM task_acquire_lease(of_queue, 'after', max_tasks => 50) a, task_finalize(a.task_id, a.lease_token, 'completed') f;
        GET DIAGNOSTICS ended = ROW_COUNT;
        EXIT WHEN ended = 0;
        COMMIT;
    END LOOP;
END
$$;
SET ROLE regress_worker;
CALL work_off('work');
RESET ROLE;
CALL work_off('undo');
CALL work_off('work');
CALL work_off('told');
CALL work_off('default');
SELECT queue, name, outcome, count(*) FROM done GROUP BY 1, 2, 3 ORDER BY queue COLLATE "C", name COLLATE "C", outcome;
SELECT min(done.lease_token) > max(highest.lease_token) AS greater FROM done, highest;
SELECT workflow_finalize(:grouped, 'completed');
SELECT name, state, counts FROM unnest(ARRAY[:gated, :broken, :wide, :grouped]) WITH ORDINALITY AS r (run, n), workflow_get(run) ORDER BY n;
SELECT item_index, state, result FROM task_items(:grouped, 'item');
SELECT name, state FROM task_list(run_id => :grouped, name => 'sum');
SELECT state, reason FROM task_get(:saga);
SELECT name, state FROM task_compensations(:saga);
SELECT queue, ready, running, blocked, scheduled, compensating FROM baton.queue_stats ORDER BY queue COLLATE "C";
SELECT kind, seq FROM lease('tape') l, task_events(l.task_id);
SELECT * FROM baton_check(true);
SELECT tasks > 1000 AS tasks, events > 0 AS events, more FROM baton_purge('0 s');
SELECT * FROM baton_check(true);
