-- A database with everything in it, which is dumped, copied and restored. What is asked later (which task, with which token) is in
-- tables of an application beside it, and so goes with every copy.

CREATE TABLE kept (what text PRIMARY KEY, task_id bigint, lease_token bigint);
-- Creates a task, if there is none of this key, and leases it.
CREATE FUNCTION leased(queue text, key text, ttl interval = '1 hour', OUT task_id bigint, OUT lease_token bigint) LANGUAGE plpgsql AS $$
BEGIN
    task_id := (SELECT c.task_id FROM public.task_create(queue, jsonb_build_object('key', key), key => key) c);
    lease_token := (SELECT a.lease_token FROM public.task_acquire_lease_by_id(task_id, 'worker', ttl) a);
END $$;
CREATE FUNCTION keep(what text, queue text, ttl interval = '1 hour') RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.kept SELECT what, l.* FROM public.leased(queue, what, ttl) l $$;
-- A lease that runs out soon. The one before is not needed any more.
CREATE FUNCTION keep_soon(key text, ttl interval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.task_finalize(task_id, lease_token, 'completed') FROM public.kept WHERE what = 'soon';
    DELETE FROM public.kept WHERE what = 'soon';
    INSERT INTO public.kept SELECT 'soon', l.* FROM public.leased('soon', key, ttl) l;
END $$;
-- Tries to get it and to end it, from a moment before it runs out to a moment after somebody has: how often it did.
CREATE PROCEDURE raced(OUT n int) LANGUAGE plpgsql AS $$
DECLARE
    lease record;
    until timestamptz;
BEGIN
    n := 0;
    SELECT k.task_id, k.lease_token, t.lease_expires_at INTO lease FROM public.kept k, public.task_get(k.task_id) t WHERE what = 'soon';
    PERFORM pg_sleep_until(lease.lease_expires_at - interval '0.1 s');
    until := clock_timestamp() + interval '10 s';
    WHILE clock_timestamp() < until LOOP
        n := n + (SELECT count(*) FROM public.task_acquire_lease('soon', 'racer', '1 hour', 10) a, public.task_finalize(a.task_id, a.lease_token, 'completed') f
                   WHERE f.outcome = 'finalized');
        COMMIT;
        until := least(until, (SELECT clock_timestamp() + interval '0.2 s' FROM public.task_get(lease.task_id) t WHERE t.lease_token IS DISTINCT FROM lease.lease_token));
        PERFORM pg_sleep(0.002);
    END LOOP;
END $$;
-- What a worker does: the next tasks of a queue are ended at once.
CREATE FUNCTION worked(queue text, state text = 'completed', result jsonb = NULL, max_tasks int = 1) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(f.outcome) FROM public.task_acquire_lease(queue, 'worker', max_tasks => max_tasks) t, public.task_finalize(t.task_id, t.lease_token, state, result) f $$;

-- Queues with settings of their own; the one that is always there, used and altered; one that is paused, one dropped with what has
-- ended in it, one that was dropped and made again; a name that needs quotes.
SELECT count(queue_create('tenant ' || n, lease_ttl => make_interval(secs => 5 + n), max_attempts => n, max_lost_leases => n,
                          backoff_base => make_interval(secs => n),
                          backoff_max => '1 hour', max_runtime => CASE WHEN n % 3 = 0 THEN interval '2 hours' END,
                          on_lost => (ARRAY['requeue', 'requeue_unstarted', 'fail'])[1 + n % 3])::text)
  FROM generate_series(1, 30) n;
SELECT count(*) FROM task_create('default', '{"first": "use"}');
SELECT queue_alter('default', lease_ttl => '77 s', max_attempts => 9, on_lost => 'requeue_unstarted');
SELECT count(queue_create(name)::text) FROM unnest('{ends,mail,io,cpu,undo,trips,held,soon,late,gone,again,paused}'::text[]) name;
SELECT queue_create(E'a "queue" \\ ''of'' ünïcode 漢字 🦀\t');
SELECT queue_alter('mail', on_final_queue => 'ends', on_final_states => '{completed,failed,cancelled,quarantined}');
SELECT queue_alter('late', lease_ttl => '1 s', backoff_base => '100 ms', max_attempts => 5, max_lost_leases => 1);
SELECT count(*) FROM task_create('gone', key => 'taken');
SELECT worked('gone'), queue_drop('gone');
SELECT count(*) FROM task_create('again', key => 'taken');
SELECT worked('again'), queue_drop('again'), queue_create('again', max_attempts => 2);
SELECT count(*), queue_pause('paused') FROM task_create('paused', key => 'waits');

-- Tasks of every priority, with payloads and keys of many kinds; some have ended, each way.
SELECT count(*)
  FROM generate_series(1, 400) i, LATERAL (SELECT i AS n, repeat(E'x\\.\t\n\r"''é漢🦀\\N', i % 40) AS text, 1e30::numeric AS big, NULL AS "null") p,
       task_create('tenant ' || 1 + p.n % 30, to_jsonb(p), key => E'key\t' || p.n, priority => p.n % 19 - 9, metadata => '{"tag": "a\tb"}');
SELECT sum(worked('tenant ' || n, (ARRAY['completed', 'failed', 'cancelled', 'quarantined'])[1 + n % 4], jsonb_build_object('n', n), 5))
  FROM generate_series(1, 30) n;
SELECT count(*) FROM generate_series(1, 12) n, task_create('mail', jsonb_build_object('n', n), key => 'mail ' || n);
SELECT sum(worked('mail', state)) FROM unnest('{completed,failed,cancelled,quarantined}'::text[]) state;
SELECT outcome FROM task_create('io', run_at => clock_timestamp() + interval '10 years', key => 'in ten years');
SELECT outcome FROM task_create('io', run_at => clock_timestamp() + interval '1 s', key => 'in a second');
SELECT outcome FROM task_create(E'a "queue" \\ ''of'' ünïcode 漢字 🦀\t', key => E'k\\N\t\n');
SELECT o.outcome FROM task_create('io', key => 'called off') c, LATERAL task_cancel(c.task_id, E'\\. \\N') o;

-- A tape, annotations, attempts that failed, were released and lost.
SELECT task_id AS t, lease_token AS k FROM leased('late', 'tape') \gset
SELECT outcome FROM task_start(:t, :k);
SELECT outcome FROM task_append_event(:t, 'progress', '{"percent": 10}', :k, 'ten');
SELECT outcome FROM task_append_events(:t, '{a,b}', ARRAY['"\t"', NULL]::jsonb[], :k, '{one,two}');
SELECT outcome FROM task_annotate(:t, '{"seen": [1, 2]}', :k);
SELECT outcome FROM task_annotate(:t, '{"seen": null, "by": "operator"}');
SELECT outcome FROM task_fail_attempt(:t, :k, '{"errno": 5}', '1 s');
SELECT outcome FROM leased('late', 'released') l, LATERAL task_release(l.task_id, l.lease_token, '1 s');
SELECT count(l.lease_token) FROM generate_series(1, 5) n, leased('late', 'lost ' || n, '100 ms') l;
-- Leases that live, one of a worker that is asked to stop, and one of a task that its worker has ended.
SELECT keep('held', 'held'), keep('asked', 'held'), keep('ended', 'held');
SELECT outcome FROM kept, task_cancel(task_id) WHERE what = 'asked';
SELECT outcome FROM kept, task_finalize(task_id, lease_token, 'completed', '"whole"') WHERE what = 'ended';

-- A failed task that was tried again, and a failed one that was not.
SELECT queue_create('redriven', max_attempts => 1);
SELECT outcome FROM generate_series(1, 2) n, leased('redriven', 'failed ' || n) l, LATERAL task_fail_attempt(l.task_id, l.lease_token);
SELECT outcome FROM task_get_by_key('redriven', 'failed 1') t, task_redrive(t.task_id);

-- Slots: a key with holders and waiters, one that drains because it was lowered, one closed.
SELECT slot_set('host', 3), slot_set('license', 2), slot_set('lowered', 4), slot_set('closed', 0);
SELECT count(*) FROM generate_series(1, 8) n, task_create('io', key => 'host ' || n, slot_keys => '{host}', priority => n % 3);
SELECT count(*) FROM generate_series(1, 8) n, task_create('cpu', key => 'both ' || n, slot_keys => '{host,license}');
SELECT count(*) FROM generate_series(1, 6) n, task_create('cpu', key => 'lowered ' || n, slot_keys => '{lowered}');
SELECT slot_set('lowered', 1);
SELECT outcome, state FROM task_create('cpu', key => 'closed', slot_keys => '{closed}');
INSERT INTO kept SELECT 'of host', t.task_id, a.lease_token FROM task_get_by_key('io', 'host 2') t, task_acquire_lease_by_id(t.task_id, 'worker', '1 hour') a;

-- Groups: one half done, one bounded and wide, one at its end, each with a successor; one dispatched by hand.
SELECT count(*) FROM task_create_items('io', 'group', array_fill('{}'::jsonb, '{40}'), max_parallel => 7, successor => 'joined', key => 'half');
SELECT sum(f.n) FROM (SELECT worked('io', 'completed', max_tasks => 1) AS n FROM generate_series(1, 20)) f;
SELECT count(*) FROM task_create_items('cpu', 'bounded', array_fill('{}'::jsonb, '{30}'), max_parallel => 2, successor => 'joined');
SELECT count(*) FROM task_create_items('undo', 'small', array_fill('{}'::jsonb, '{3}'), successor => 'joined', successor_queue => 'ends');
SELECT worked('undo', max_tasks => 3);
SELECT d.outcome
  FROM leased('again', 'by hand') l, LATERAL task_finalize(l.task_id, l.lease_token, 'completed') f, LATERAL task_dispatch_successor(l.task_id, 'by hand', 'io') d;

-- Workflows: two versions of one, and runs in every state.
SELECT queue_create('steps'), queue_create('failing', max_attempts => 1);
SELECT workflow_define('flow', '{"steps": [{"name": "list", "queue": "steps"},
    {"name": "each", "queue": "steps", "needs": ["list"], "with_items": "$.steps.list.result.items", "max_parallel": 2, "compensate": {"queue": "undo"}},
    {"name": "check", "queue": "steps", "needs": ["each"], "checkpoint": "look", "slot_keys": ["license"]},
    {"name": "end", "queue": "steps", "needs": ["check"], "payload": {"all": "$.steps.each.result"}}], "max_parallel": 5}');
SELECT workflow_define('flow', '{"steps": [{"name": "list", "queue": "steps"}]}');
SELECT workflow_define('breaks', '{"steps": [{"name": "done", "queue": "steps", "compensate": {"queue": "undo", "payload": {"of": "done"}}},
    {"name": "breaks", "queue": "failing", "needs": ["done"]}, {"name": "never", "queue": "steps", "needs": ["breaks"]}], "on_error": "fail"}');
SELECT workflow_define('pauses', '{"steps": [{"name": "breaks", "queue": "failing", "with_items": "$.input"},
    {"name": "after", "queue": "steps", "needs": ["breaks"], "when": "done"}], "on_error": "pause"}');
-- This run has its definition with it.
SELECT run_id AS r FROM workflow_start(definition => '{"steps": [{"name": "list", "queue": "steps"},
    {"name": "each", "queue": "steps", "needs": ["list"], "with_items": "$.steps.list.result.items", "max_parallel": 2, "compensate": {"queue": "undo"}},
    {"name": "check", "queue": "steps", "needs": ["each"], "checkpoint": "look", "slot_keys": ["license"]},
    {"name": "end", "queue": "steps", "needs": ["check"], "payload": {"all": "$.steps.each.result"}}], "max_parallel": 5}', key => 'half', metadata => '{"a": 1}') \gset
SELECT workflow_annotate(:r, '{"b": 2}');
SELECT outcome FROM workflow_append_event(:r, 'note', '{"x": "\\N"}', 'once');
SELECT worked('steps', result => '{"items": [1, 2, 3, 4, 5, 6]}'), worked('steps', result => '"one"');
SELECT count(run_id) FROM workflow_start('flow', key => 'completed');
SELECT sum(f.n) FROM (SELECT worked('steps') AS n FROM generate_series(1, 4)) f;
SELECT count(run_id) FROM generate_series(1, 3) n, workflow_start('breaks', key => 'breaks ' || n);
SELECT worked('steps', max_tasks => 100), worked('failing', 'failed', max_tasks => 100);
SELECT worked('undo', max_tasks => 1), worked('undo', 'quarantined', max_tasks => 1);
SELECT count(run_id) FROM workflow_start('pauses', '[1, 2, 3]', key => 'paused by a failure');
SELECT worked('failing'), worked('failing', 'failed');
SELECT workflow_pause(r.run_id, 'by hand', '{"why": "\t"}') FROM workflow_start('flow', key => 'paused by hand') r;
-- Wide steps, whose later items are no tasks yet: one bounded, one not.
SELECT queue_create('wide');
SELECT count(run_id) FROM generate_series(1, 2) n, workflow_start(key => 'wide ' || n, definition => format('{"steps": [{"name": "list", "queue": "wide"},
    {"name": "each", "queue": "wide", "needs": ["list"], "with_items": "$.steps.list.result", "max_parallel": %s}, {"name": "joined", "queue": "wide", "needs": ["each"]}]}',
    (ARRAY['200', 'null'])[n])::jsonb);
SELECT worked('wide', result => to_jsonb(ARRAY(SELECT generate_series(1, 1200))), max_tasks => 2), worked('wide', max_tasks => 5);
SELECT run_id AS r FROM workflow_start('flow', key => 'cancelled') \gset
SELECT outcome FROM workflow_cancel(:r, 'not needed');
SELECT run_id AS r FROM workflow_start('flow', key => 'asked to stop') \gset
INSERT INTO kept SELECT 'of a run', l.task_id, a.lease_token FROM task_list(run_id => :r) l, task_acquire_lease_by_id(l.task_id, 'worker', '1 hour') a;
SELECT outcome FROM workflow_cancel(:r);

-- Sagas: one half undone, one undone, one that gave up; registrations of a task that still works.
CREATE FUNCTION booked(key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE l record;
BEGIN
    SELECT * INTO l FROM public.leased('held', key);
    PERFORM public.task_register_compensation(l.task_id, l.lease_token, name, 'trips', jsonb_build_object('of', key)) FROM unnest('{flight,hotel,car}'::text[]) name;
    INSERT INTO public.kept VALUES (key, l.task_id, l.lease_token);
END $$;
-- The compensation of a trip that is to be run now is ended.
CREATE FUNCTION undone(trip text, how text = 'completed') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome
      FROM public.kept k, public.task_compensations(k.task_id) c, public.task_acquire_lease_by_id(c.task_id, 'worker') a,
           public.task_finalize(c.task_id, a.lease_token, how) f
     WHERE k.what = trip AND c.state = 'ready' $$;
SELECT booked('trip undone'), booked('trip given up'), booked('trip half undone'), booked('trip under way');
SELECT outcome FROM kept, task_finalize(task_id, lease_token, 'failed', error => '"declined"')
 WHERE what IN ('trip undone', 'trip given up', 'trip half undone');
SELECT undone('trip undone'), undone('trip given up'), undone('trip half undone');
SELECT undone('trip undone'), undone('trip given up', 'quarantined');
SELECT undone('trip undone');

-- What is due: the last items of a group end while somebody changes the run, who then does not.
SELECT queue_create('due');
SELECT DISTINCT run_id AS r FROM task_create_items('due', 'due', array_fill('{}'::jsonb, '{2}'), successor => 'joined', successor_queue => 'ends') \gset
SELECT array_agg(task_id) AS t, array_agg(lease_token) AS k FROM task_acquire_lease('due', 'worker', max_tasks => 2) \gset
BEGIN;
SELECT workflow_pause(:r, 'somebody');
PREPARE TRANSACTION 'gate';
SELECT outcome FROM task_finalize_many(:'t', :'k', '{completed,completed}');
ROLLBACK PREPARED 'gate';

-- Roles, whose capabilities are kept by their names.
CREATE ROLE backup_worker LOGIN;
CREATE ROLE "Backup ""operator""" LOGIN;
CREATE ROLE backup_member LOGIN IN ROLE backup_worker;
CREATE ROLE backup_stranger LOGIN;
SELECT baton_grant('backup_worker', 'work', 'tenant 1'), baton_grant('backup_worker', 'produce', 'tenant 1'),
       baton_grant('Backup "operator"', 'operate'), baton_grant('Backup "operator"', 'observe');
CREATE ROLE backup_reader LOGIN IN ROLE pg_read_all_data;
