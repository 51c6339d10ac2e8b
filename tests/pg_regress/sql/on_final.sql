-- on_final_queue: whoever ends a task creates, in the same transaction, one task that tells of it.

SELECT queue_create('ends');
SELECT queue_create('other');
SELECT queue_create('all', on_final_queue => 'ends');
SELECT queue_create('bad ones', on_final_queue => 'ends', on_final_states => '{quarantined,failed,failed}');
SELECT queue_create('quiet');
CREATE FUNCTION settings() RETURNS TABLE (queue text, tells text, of_states text[]) LANGUAGE sql AS $$
    SELECT q.name, o.name, (SELECT array_agg(baton._state_name(s) ORDER BY s) FROM unnest(q.on_final_states) s)
    FROM baton.queue q LEFT JOIN baton.queue o ON o.queue_id = q.on_final_queue_id ORDER BY q.name $$;
SELECT * FROM settings();

-- queue_alter: NULL leaves as it is, '' takes it away with its states, a queue without states tells of all.
SELECT queue_alter('bad ones', max_attempts => 2);
SELECT queue_alter('bad ones', on_final_queue => 'other');
SELECT queue_alter('all', on_final_states => '{cancelled}');
SELECT * FROM settings() WHERE tells <> '';
SELECT queue_alter('all', on_final_states => '{completed,failed,cancelled,compensated,quarantined}');
SELECT queue_alter('bad ones', on_final_queue => '');
SELECT queue_alter('bad ones', on_final_queue => '');
SELECT queue_alter('quiet', on_final_queue => 'other');
SELECT * FROM settings();
SELECT queue_alter('quiet', on_final_queue => '');
SELECT queue_alter('bad ones', on_final_queue => 'ends', on_final_states => '{failed,quarantined}');

-- Errors: nothing is stored.
SELECT queue_create('x', on_final_queue => 'nowhere');
SELECT queue_create('x', on_final_queue => 'x');
SELECT queue_create('x', on_final_queue => '');
SELECT queue_create('x', on_final_queue => repeat('q', 256));
SELECT queue_create('x', on_final_states => '{failed}');
SELECT queue_create('x', on_final_queue => 'ends', on_final_states => '{}');
SELECT queue_create('x', on_final_queue => 'ends', on_final_states => '{failed,ready}');
SELECT queue_create('x', on_final_queue => 'ends', on_final_states => '{Failed}');
SELECT queue_create('x', on_final_queue => 'ends', on_final_states => ARRAY['failed', NULL]);
SELECT queue_create('x', on_final_queue => 'ends', on_final_states => '{{failed},{completed}}');
SELECT queue_create('all', on_final_queue => 'ends');
SELECT queue_alter('quiet', on_final_queue => 'nowhere');
SELECT queue_alter('quiet', on_final_states => '{failed}');
SELECT queue_alter('all', on_final_queue => '', on_final_states => '{failed}');
SELECT queue_alter('all', on_final_states => '{}');
SELECT queue_alter('all', on_final_states => '{running}');
SELECT queue_alter('all', on_final_states => '{NULL}');
SELECT queue_alter('nowhere', on_final_queue => 'ends');
SELECT * FROM settings();

-- What was told of a task.
CREATE FUNCTION told(of bigint) RETURNS TABLE (told text, key_is_id boolean, now text, payload jsonb) LANGUAGE sql AS $$
    SELECT g.queue || ': ' || g.name, g.key = of::text, g.state, g.payload - 'task_id'
    FROM (SELECT task_id, on_final_of FROM baton.task_live UNION ALL SELECT task_id, on_final_of FROM baton.task_done) t, task_get(t.task_id) g WHERE t.on_final_of = of AND (g.payload -> 'task_id')::bigint = of ORDER BY t.task_id $$;

-- task_finalize in each state; `dispatched` names the new task.
SELECT task_id AS t FROM task_create('all', key => 'k', name => 'n') \gset
SELECT lease_token AS l FROM task_acquire_lease('all', 'w') \gset
SELECT outcome, state, dispatched AS d FROM task_finalize(:t, :l, 'completed', '1', reason => 'because') \gset
SELECT :'outcome' AS outcome, :'state' AS state, queue, name, n.state AS now FROM unnest(:'d'::bigint[]) id, task_get(id) n;
SELECT * FROM told(:t);
-- It is a task as any other, with the whole of what is told.
SELECT payload = jsonb_build_object('task_id', :t, 'queue', 'all', 'key', 'k', 'name', 'n', 'state', 'completed', 'reason', 'because', 'run_id', NULL, 'item_index', NULL) AS exact FROM task_get_by_key('ends', :'t');
SELECT state, priority, attempt, max_attempts, lost_leases, metadata, run_id, item_index, redrive_of, last_seq FROM task_get_by_key('ends', :'t');
SELECT count(*) FROM task_get_by_key('ends', :'t') n, task_events(n.task_id);
-- A replay tells nothing again.
SELECT outcome, state FROM task_finalize(:t, :l, 'completed', '1', reason => 'because');
SELECT outcome, state FROM task_finalize(:t, :l, 'failed');
SELECT outcome FROM task_cancel(:t);
SELECT count(*) FROM told(:t);
CREATE FUNCTION state(n bigint) RETURNS text LANGUAGE sql RETURN (ARRAY['completed', 'failed', 'cancelled', 'quarantined'])[n];
SELECT f.outcome, f.state, cardinality(f.dispatched) AS dispatched, t.payload FROM task_create_many('all', '{1,2,3,4}') c, task_acquire_lease_by_id(c.task_id, 'w') l, task_finalize(c.task_id, l.lease_token, state(ordinal)) f, told(CASE WHEN f.outcome <> '' THEN c.task_id END) t;
-- Only the states that were asked for.
SELECT f.outcome, f.state, cardinality(f.dispatched) AS dispatched FROM task_create_many('bad ones', '{1,2,3,4}') c, task_acquire_lease_by_id(c.task_id, 'w') l, task_finalize(c.task_id, l.lease_token, state(ordinal)) f;
SELECT n.payload ->> 'queue' AS queue, n.payload ->> 'state' AS state FROM task_list('ends') l, task_get(l.task_id) n WHERE n.payload ->> 'queue' = 'bad ones' ORDER BY 2;
-- What goes on is no end.
SELECT task_id AS t FROM task_create('all') \gset
SELECT lease_token AS l FROM task_acquire_lease('all', 'w') \gset
SELECT outcome FROM task_release(:t, :l);
SELECT lease_token AS l FROM task_acquire_lease('all', 'w') \gset
SELECT outcome FROM task_fail_attempt(:t, :l, retry_after => '0');
SELECT lease_token AS l FROM task_acquire_lease('all', 'w') \gset
SELECT outcome FROM task_cancel(:t, 'asked');
SELECT count(*) FROM told(:t);

-- task_release of a task that somebody asked to cancel.
SELECT outcome FROM task_release(:t, :l);
SELECT * FROM told(:t);
-- task_fail_attempt: the last attempt; a cancel was requested.
SELECT task_id AS t FROM task_create('all', max_attempts => 1) \gset
SELECT lease_token AS l FROM task_acquire_lease('all', 'w') \gset
SELECT outcome, state FROM task_fail_attempt(:t, :l);
SELECT outcome, state FROM task_fail_attempt(:t, :l);
SELECT * FROM told(:t);
SELECT task_id AS t FROM task_create('all') \gset
SELECT lease_token AS l FROM task_acquire_lease('all', 'w') \gset
SELECT outcome FROM task_cancel(:t, 'asked');
SELECT outcome, state FROM task_fail_attempt(:t, :l);
SELECT * FROM told(:t);
-- task_cancel: in line, scheduled, forced.
SELECT task_id AS t FROM task_create('all') \gset
SELECT outcome FROM task_cancel(:t);
SELECT outcome FROM task_cancel(:t, 'again', true);
SELECT * FROM told(:t);
SELECT task_id AS t FROM task_create('all', run_at => clock_timestamp() + interval '1 h') \gset
SELECT outcome FROM task_cancel(:t, 'not today');
SELECT * FROM told(:t);
SELECT task_id AS t FROM task_create('all') \gset
SELECT lease_token AS l FROM task_acquire_lease('all', 'w') \gset
SELECT outcome FROM task_cancel(:t, 'now', true);
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT * FROM told(:t);
-- task_finalize_many: a row that is refused tells nothing.
SELECT array_agg(task_id ORDER BY task_id) AS ids, array_agg(lease_token ORDER BY task_id) AS tokens FROM task_create_many('all', '{1,2,3}'), task_acquire_lease_by_id(task_id, 'w') \gset
SELECT ordinal, outcome, state, t.payload ->> 'state' AS told FROM task_finalize_many(:'ids', (:'tokens'::bigint[])[1:2] || 0::bigint, '{completed,failed,completed}') LEFT JOIN LATERAL told(task_id) t ON true ORDER BY ordinal;
SELECT outcome FROM task_cancel((:'ids'::bigint[])[3], force => true);
-- Both are undone.
SELECT task_id AS t FROM task_create('all') \gset
SELECT lease_token AS l FROM task_acquire_lease('all', 'w') \gset
BEGIN;
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT now FROM told(:t);
ROLLBACK;
SELECT state FROM task_get(:t);
SELECT count(*) FROM told(:t);
BEGIN;
SAVEPOINT s;
SELECT outcome FROM task_cancel(:t, force => true);
ROLLBACK TO s;
SELECT outcome FROM task_finalize(:t, :l, 'failed');
COMMIT;
SELECT * FROM told(:t);

-- Leases that ran out: found by task_reap, by an acquire, by an acquire of that task; by the queue's on_lost; after a request to cancel.
SELECT queue_create(name, on_lost => on_lost, max_lost_leases => 1, max_attempts => 1, max_runtime => max_runtime, on_final_queue => 'ends')
FROM (VALUES ('reap', 'requeue', NULL::interval), ('reap fail', 'fail', NULL), ('reap slow', 'requeue', '100 ms'), ('acquire', 'requeue', NULL), ('by id', 'requeue', NULL), ('by id own', 'fail', NULL)) v (name, on_lost, max_runtime);
SELECT queue, outcome FROM unnest(ARRAY['reap', 'reap', 'reap fail', 'reap slow', 'acquire', 'acquire', 'by id', 'by id', 'by id own']) WITH ORDINALITY q (queue, n), task_create(queue, key => queue || n);
SELECT count(*) FROM task_list(states => '{ready}') t, task_acquire_lease_by_id(t.task_id, 'w', '100 ms') WHERE key IS NOT NULL AND queue <> 'ends';
SELECT key, outcome FROM task_list(states => '{running}') t, task_cancel(t.task_id, 'asked') WHERE key IN ('reap2', 'acquire6', 'by id8') ORDER BY 1;
SELECT pg_sleep(0.12);
SELECT outcome, count(*) FROM unnest(ARRAY['reap', 'reap fail', 'reap slow']) q, task_reap(10, q) GROUP BY outcome ORDER BY outcome;
SELECT count(*) FROM task_acquire_lease('acquire', 'w', max_tasks => 10);
SELECT key, outcome, a.state FROM task_list('by id') t, task_acquire_lease_by_id(t.task_id, 'w2') a ORDER BY key;
SELECT key, outcome, a.state FROM task_list('by id own') t, task_acquire_lease_by_id(t.task_id, 'w') a ORDER BY key;
SELECT t.key, t.state, n.payload ->> 'state' AS told, n.payload ->> 'reason' AS reason, key_is_id FROM task_list() t LEFT JOIN LATERAL told(task_id) n ON true WHERE t.key LIKE 'reap%' OR t.key LIKE 'acquire%' OR t.key LIKE 'by id%' ORDER BY t.key;
-- A dead owner's, in one transition each.
SELECT count(*) FROM task_create_many('reap', '{1,2,3}'), task_acquire_lease_by_id(task_id, 'dead', '1 h');
SELECT r.outcome, t.payload FROM task_reap_owner('dead', 9007199254740991, 'node 7 is gone') r, told(r.task_id) t;

-- Somebody has taken that key: told all the same, without a key.
SELECT task_id AS t FROM task_create('all') \gset
SELECT outcome FROM task_create('ends', '"mine"', key => :'t');
SELECT outcome FROM task_cancel(:t);
SELECT * FROM told(:t);
SELECT name, payload FROM task_get_by_key('ends', :'t');
SELECT array_agg(task_id ORDER BY task_id) AS ids FROM task_create_many('all', '{1,2,3}') \gset
SELECT outcome FROM task_create('ends', key => (:'ids'::bigint[])[2]::text);
SELECT c.outcome, t.key_is_id FROM unnest(:'ids'::bigint[]) id, task_cancel(id) c, told(CASE WHEN c.outcome <> '' THEN id END) t;

-- Items of a group, with their run and index; the last one dispatches the successor, whose own end is told as well.
SELECT DISTINCT run_id AS run FROM task_create_items('all', 'g', '{0,1,2}'::jsonb[], max_parallel => 1, successor => 'after') \gset
SELECT i.item_index AS i, f.outcome, f.dispatched AS d FROM task_acquire_lease('all', 'w') i, task_finalize(i.task_id, i.lease_token, 'completed') f \gset
SELECT :i AS item, :'outcome' AS outcome, queue, name, item_index, state FROM unnest(:'d'::bigint[]) WITH ORDINALITY u (id, n), task_get(id) ORDER BY n;
SELECT i.item_index AS i, f.outcome, f.dispatched AS d FROM task_acquire_lease('all', 'w') i, task_finalize(i.task_id, i.lease_token, 'completed') f \gset
SELECT :i AS item, :'outcome' AS outcome, queue, name, item_index, state FROM unnest(:'d'::bigint[]) WITH ORDINALITY u (id, n), task_get(id) ORDER BY n;
SELECT i.item_index AS i, f.outcome, f.dispatched AS d FROM task_acquire_lease('all', 'w') i, task_finalize(i.task_id, i.lease_token, 'completed') f \gset
SELECT :i AS item, :'outcome' AS outcome, queue, name, item_index, state FROM unnest(:'d'::bigint[]) WITH ORDINALITY u (id, n), task_get(id) ORDER BY n;
SELECT name, f.outcome FROM task_acquire_lease('all', 'w') i, task_finalize(i.task_id, i.lease_token, 'completed') f;
SELECT t.name, n.payload ->> 'item_index' AS item_index, (n.payload -> 'run_id')::bigint = :run AS in_run, n.payload ->> 'name' AS told_name FROM task_list(run_id => :run) t, told(t.task_id) n ORDER BY t.task_id;
-- What tells is in no run.
SELECT count(*) FROM task_list(run_id => :run);

-- It never triggers another: neither in a chain of queues, nor in a queue that tells of itself.
SELECT queue_create('c');
SELECT queue_create('b', on_final_queue => 'c');
SELECT queue_create('a', on_final_queue => 'b');
SELECT task_id AS t FROM task_create('a') \gset
SELECT outcome FROM task_cancel(:t);
SELECT name, f.outcome, f.dispatched FROM task_acquire_lease('b', 'w') l, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT count(*) FROM task_list('c');
SELECT outcome FROM task_cancel((SELECT task_id FROM task_create('b')));
SELECT n.name, payload ->> 'queue' AS queue FROM task_list('c') l, task_get(l.task_id) n;
SELECT queue_create('self');
SELECT queue_alter('self', on_final_queue => 'self');
SELECT f.outcome, cardinality(f.dispatched) AS dispatched FROM task_create('self') c, task_acquire_lease_by_id(c.task_id, 'w') l, task_finalize(c.task_id, l.lease_token, 'completed') f;
SELECT name, f.outcome, f.dispatched FROM task_acquire_lease('self', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT count(*) FROM task_list('self', '{ready}');
-- A task that somebody merely names so is told of.
SELECT f.outcome, cardinality(f.dispatched) AS dispatched FROM task_create('self', name => 'on_final') c, task_acquire_lease_by_id(c.task_id, 'w') l, task_finalize(c.task_id, l.lease_token, 'completed') f;

-- What is altered applies to the ends from now on; a paused queue is told as well.
SELECT task_id AS t FROM task_create('quiet') \gset
SELECT task_id AS t2 FROM task_create('all') \gset
SELECT queue_alter('quiet', on_final_queue => 'other');
SELECT queue_alter('all', on_final_queue => '');
SELECT queue_alter('other', max_attempts => 7);
SELECT queue_pause('other');
SELECT c.outcome FROM unnest(ARRAY[:t, :t2]) id, task_cancel(id) c;
SELECT told, now, max_attempts FROM told(:t), task_get_by_key('other', :'t');
SELECT count(*) FROM told(:t2);

-- A task whose work is undone has not ended yet: it is told of once, when it has, as what it has become. What undoes it is told of as any task.
SELECT queue_create('undone', max_attempts => 1, on_final_queue => 'ends');
SELECT queue_create('undo', max_attempts => 1, on_final_queue => 'ends');
CREATE FUNCTION work_and(queue text, ended text, registrations int, OUT task_id bigint, OUT outcome text, OUT dispatched text[]) LANGUAGE plpgsql AS $$
DECLARE
    l record;
    ids bigint[];
BEGIN
    SELECT * INTO l FROM task_acquire_lease(queue, 'w');
    PERFORM task_register_compensation(l.task_id, l.lease_token, 'undo ' || n, 'undo') FROM generate_series(1, registrations) n;
    SELECT l.task_id, f.outcome, f.dispatched INTO task_id, outcome, ids FROM task_finalize(l.task_id, l.lease_token, ended, '"result"', '"error"', 'why') f;
    dispatched := ARRAY(SELECT concat_ws(' ', g.queue || ':', g.name, coalesce(g.payload ->> 'name', 'of ' || (g.payload ->> 'key'))) FROM unnest(ids) id, task_get(id) g ORDER BY 1);
END $$;
SELECT outcome FROM task_create('undone', key => 'k');
SELECT task_id AS whose, outcome, dispatched FROM work_and('undone', 'failed', 2) \gset
SELECT :'outcome' AS outcome, :'dispatched' AS dispatched, (SELECT count(*) FROM told(:whose)) AS told;
SELECT outcome, dispatched, (SELECT count(*) FROM told(:whose)) AS told FROM work_and('undo', 'completed', 0);
SELECT task_id AS u, outcome, dispatched FROM work_and('undo', 'completed', 0) \gset
SELECT :'outcome' AS outcome, :'dispatched' AS dispatched;
SELECT * FROM told(:whose);
SELECT * FROM told(:u);
-- Called off, and undone; one that cannot be undone.
SELECT outcome FROM unnest(ARRAY['k2', 'k3']) key, task_create('undone', key => key);
SELECT task_id AS whose, outcome FROM work_and('undone', 'cancelled', 1) \gset
SELECT outcome, dispatched FROM work_and('undo', 'completed', 0);
SELECT * FROM told(:whose);
SELECT task_id AS whose, outcome FROM work_and('undone', 'failed', 1) \gset
SELECT outcome, dispatched FROM work_and('undo', 'failed', 0);
SELECT * FROM told(:whose);
-- By states: the one that counts is the last.
SELECT queue_create('failures', max_attempts => 1, on_final_queue => 'ends', on_final_states => '{failed}');
SELECT queue_create('what is undone', max_attempts => 1, on_final_queue => 'ends', on_final_states => '{compensated}');
SELECT outcome FROM unnest(ARRAY['failures', 'what is undone']) queue, task_create(queue, key => 'k');
SELECT queue, w.outcome, dispatched FROM unnest(ARRAY['failures', 'what is undone']) queue, work_and(queue, 'failed', 1) w;
SELECT queue_alter('undo', on_final_queue => '');
SELECT outcome, dispatched FROM work_and('undo', 'completed', 0);
SELECT outcome, dispatched FROM work_and('undo', 'completed', 0);
-- Exactly one for each end that is told of, never one for another.
SELECT q.name AS queue, d.on_final_of IS NOT NULL AS tells, count(*) AS ends, sum(n) AS told, max(n) AS at_most
FROM baton.task_done d JOIN baton.queue q USING (queue_id), LATERAL (SELECT count(*) AS n FROM told(d.task_id)) n
GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS told_before_the_end FROM baton.task_live l, told(l.task_id);
SELECT * FROM baton_check(true);

-- F1: what tells of an end was removed behind the functions' back.
SELECT task_id AS n FROM task_get_by_key('other', :'t') \gset
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM baton.task_live WHERE task_id = :n;
DELETE FROM baton.task WHERE task_id = :n;
SELECT invariant, object, object_id = :t AS the_ended_task FROM baton_check(true);
ROLLBACK;
SELECT * FROM baton_check(true);
