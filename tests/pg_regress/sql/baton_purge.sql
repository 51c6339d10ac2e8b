-- baton_purge: what ended long ago goes with all that belongs to it, in bounded batches; keys are free again then, and only then.

SELECT queue_create('ends');
SELECT queue_create('q', lease_ttl => '1 h');
SELECT queue_create('r', lease_ttl => '1 h');
-- What is stored, and where.
CREATE FUNCTION stored() RETURNS TABLE (what text, rows bigint) LANGUAGE sql AS $$
    SELECT what, (xpath('//c/text()', query_to_xml('SELECT count(*) AS c FROM baton.' || what, false, true, '')))[1]::text::bigint
    FROM unnest(ARRAY['task', 'task_live', 'task_done', 'event', 'annotation', 'redrive', 'dispatch', 'run', 'step', 'step_count', 'step_batch', 'workflow', 'slot_key', 'slot', 'due', 'compensation', 'saga']) what $$;
CREATE FUNCTION left_over() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(what || ' ' || rows, ', ') FROM stored() WHERE rows > 0 $$;
-- A finished task, with so many events of its own.
CREATE FUNCTION done(queue text, key text = NULL, state text = 'completed', notes int = 0) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE t bigint; l bigint;
BEGIN
    SELECT c.task_id INTO t FROM task_create(queue, key => key) c;
    SELECT a.lease_token INTO l FROM task_acquire_lease_by_id(t, 'w') a;
    PERFORM task_append_event(t, 'note', NULL, l) FROM generate_series(1, notes);
    PERFORM task_finalize(t, l, state);
    RETURN t;
END $$;

SELECT * FROM baton_purge('0');
-- Standing alone: the task, its tape, its annotations; `events` are those that task_events showed.
SELECT count(done('q', 'k' || n, notes => n)) FROM generate_series(0, 3) n;
SELECT done('q', 'annotated') AS t \gset
SELECT outcome FROM task_annotate(:t, '{"a": 1}');
SELECT c.outcome FROM task_create('q', key => 'never leased') t, task_cancel(t.task_id) c;
SELECT outcome, task_id AS live FROM task_create('q', key => 'live') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT f.outcome, f.state FROM task_fail_attempt(:live, :l, retry_after => '0') f;
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_append_event(:live, 'note');
SELECT outcome FROM task_annotate(:live, '{"a": 1}');
SELECT outcome FROM task_create('q', key => 'scheduled', run_at => clock_timestamp() + interval '1 h');
SELECT count(*) AS shown FROM task_list('q', '{completed,cancelled}') t, task_events(t.task_id) \gset
SELECT left_over();
SELECT * FROM baton_purge('1 min');
SELECT outcome FROM task_create('q', key => 'k0');
SELECT tasks, events, events = :shown AS as_shown, more FROM baton_purge('0');
SELECT left_over();
SELECT count(*) FROM task_get(:t);
SELECT count(*) FROM task_events(:t);
SELECT count(*) FROM task_annotations(:t);
SELECT key FROM task_list('q') ORDER BY task_id;
SELECT * FROM task_cancel(:t);
SELECT * FROM task_redrive(:t);
SELECT * FROM task_annotate(:t, '{}');
SELECT outcome FROM task_acquire_lease_by_id(:t, 'w');
-- What is alive goes on, with all of its tape.
SELECT outcome FROM task_finalize(:live, :l, 'completed');
SELECT seq, kind FROM task_events(:live);
SELECT * FROM baton_check(true);
-- A key is taken until then, and free afterwards.
SELECT outcome FROM task_create('q', '2', key => 'live');
SELECT tasks, events FROM baton_purge('0');
SELECT outcome, task_id > :live AS new FROM task_create('q', '2', key => 'live');
SELECT c.outcome FROM task_list('q') t, task_cancel(t.task_id) c;
-- Undone with its transaction.
BEGIN;
SELECT * FROM baton_purge('0');
SELECT left_over();
SELECT * FROM baton_purge('0');
ROLLBACK;
SELECT left_over();
BEGIN;
SAVEPOINT s;
SELECT tasks FROM baton_purge('0');
SELECT tasks FROM baton_purge('0');
ROLLBACK TO s;
SELECT tasks FROM baton_purge('0', 1);
ROLLBACK;
SELECT * FROM baton_purge(older_than => '0', max_tasks => 10000, queue => NULL, states => NULL);
SELECT left_over();

-- Only what is old enough.
SELECT done('q', 'old');
SELECT pg_sleep(0.25);
SELECT done('q', 'young');
SELECT tasks FROM baton_purge('200 ms');
SELECT key FROM task_list('q');
SELECT tasks FROM baton_purge('10 years');
SELECT tasks FROM baton_purge('0');

-- By queue, by states, by both.
SELECT count(done(queue, state, state)) FROM unnest(ARRAY['q', 'r']) queue, unnest(ARRAY['completed', 'failed', 'cancelled', 'quarantined']) state;
SELECT * FROM baton_purge('0', queue => 'q', states => '{failed,cancelled,failed}');
SELECT * FROM baton_purge('0', states => '{quarantined,compensated}');
SELECT * FROM baton_purge('0', states => '{}');
SELECT queue, string_agg(state, ' ' ORDER BY state) FROM task_list() GROUP BY queue ORDER BY queue;
SELECT * FROM baton_purge('0', queue => 'ends');
SELECT * FROM baton_purge('0', 10, 'r');
SELECT queue, string_agg(state, ' ' ORDER BY state) FROM task_list() GROUP BY queue ORDER BY queue;
SELECT * FROM baton_purge('0', 10, 'q', '{completed}');
SELECT left_over();
-- Of a dropped queue, and of one that was created again.
SELECT queue_create('gone');
SELECT count(done('gone', 'k' || n)) FROM generate_series(1, 3) n;
SELECT queue_drop('gone');
SELECT * FROM baton_purge('0', 2, 'gone');
SELECT queue_create('gone');
SELECT count(key) FROM task_list('gone');
SELECT * FROM baton_purge('0', queue => 'gone');
SELECT outcome FROM task_create('gone', key => 'k1') c;
SELECT c.outcome FROM task_list('gone') t, task_cancel(t.task_id) c;
SELECT queue_drop('gone');
SELECT tasks FROM baton_purge('0');
-- The queue "default" exists before its first use.
SELECT * FROM baton_purge('0', queue => 'default');

-- max_tasks bounds a call; what ended first goes first; `more` tells whether another call finds more.
SELECT count(done('q', 'k' || n)) FROM generate_series(1, 5) n;
SELECT * FROM baton_purge('0', 2);
SELECT key FROM task_list('q') ORDER BY 1;
SELECT * FROM baton_purge('0', 2);
SELECT * FROM baton_purge('0', 2);
SELECT * FROM baton_purge('0', 2);
SELECT count(done('q')) FROM generate_series(1, 4);
SELECT * FROM baton_purge('0', 3);
SELECT * FROM baton_purge('0', 1);
SELECT count(done(queue)) FROM generate_series(1, 2), unnest(ARRAY['q', 'r']) queue;
SELECT * FROM baton_purge('0', 1, 'q');
SELECT * FROM baton_purge('0', 2, 'q');
SELECT * FROM baton_purge('0', 100000);

-- A redrive goes with the old task; the new one has a task of its own, and is redriven for itself.
SELECT done('q', 'bad', 'failed') AS t \gset
SELECT task_id AS n FROM task_redrive(:t) \gset
SELECT left_over();
SELECT * FROM baton_purge('0');
SELECT left_over();
SELECT redrive_of = :t AS linked FROM task_get(:n);
SELECT outcome FROM task_cancel(:n);
SELECT task_id AS n2 FROM task_redrive(:n) \gset
SELECT outcome FROM task_cancel(:n2);
SELECT * FROM baton_check(true);
-- The new one goes first: the old one was redriven all the same, and is not redriven again.
SELECT done('r', 'bad', 'failed') AS t \gset
SELECT task_id AS n FROM task_redrive(:t) \gset
SELECT f.outcome FROM task_acquire_lease_by_id(:n, 'w') l, task_finalize(:n, l.lease_token, 'completed') f;
SELECT * FROM baton_purge('0', queue => 'r', states => '{completed}');
SELECT outcome, task_id = :n AS same FROM task_redrive(:t);
SELECT * FROM baton_check(true);
SELECT tasks FROM baton_purge('0');
SELECT left_over();

-- Successors of a task that is in no run: the dispatch goes with the task that dispatched, the successor when it has ended.
SELECT done('q', 'first') AS t \gset
SELECT successor_task_id AS s FROM task_dispatch_successor(:t, 'then', 'r') \gset
SELECT left_over();
SELECT tasks FROM baton_purge('0');
SELECT left_over();
SELECT outcome FROM task_cancel(:s);
SELECT * FROM baton_check(true);
SELECT tasks FROM baton_purge('0');
SELECT left_over();
-- The successor first: it was dispatched all the same, and is not dispatched again.
SELECT done('q', 'first') AS t \gset
SELECT successor_task_id AS s FROM task_dispatch_successor(:t, 'then', 'r') \gset
SELECT outcome FROM task_cancel(:s);
SELECT tasks FROM baton_purge('0', queue => 'r');
SELECT outcome, successor_task_id = :s AS same FROM task_dispatch_successor(:t, 'then', 'r');
SELECT * FROM baton_check(true);
SELECT tasks FROM baton_purge('0');
SELECT left_over();

-- A group goes only as a whole: when all of it has ended, long enough ago.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', '{0,1,2}'::jsonb[], max_parallel => 2, key => 'group', successor => 'after', successor_queue => 'r') \gset
SELECT left_over();
SELECT f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 2) l, task_finalize(l.task_id, l.lease_token, 'completed', '"result"') f;
SELECT * FROM baton_purge('0');
SELECT f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 2) l, task_finalize(l.task_id, l.lease_token, 'failed') f;
-- Its successor is a part of it.
SELECT name, state FROM task_list(run_id => :run) ORDER BY task_id;
SELECT * FROM baton_purge('0');
SELECT outcome FROM task_create_items('q', 'g', '{0,1,2}'::jsonb[], key => 'group');
SELECT pg_sleep(0.25);
SELECT f.outcome FROM task_acquire_lease('r', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT * FROM baton_purge('200 ms');
-- Of its queues and states only, if all of it is.
SELECT * FROM baton_purge('0', queue => 'q');
SELECT * FROM baton_purge('0', queue => 'r');
SELECT * FROM baton_purge('0', states => '{completed}');
SELECT item_index, state, result FROM task_items(:run, 'g');
SELECT (SELECT count(*) FROM task_list(run_id => :run) t, task_events(t.task_id)) + (SELECT count(*) FROM workflow_events(:run)) AS shown \gset
SELECT tasks, events = :shown AS as_shown, more FROM baton_purge('0', states => '{completed,failed}');
SELECT left_over();
SELECT count(*) FROM task_items(:run, 'g');
SELECT count(*) FROM task_list(run_id => :run);
SELECT outcome FROM task_create_items('q', 'g', '{0}'::jsonb[], run_id => :run);
SELECT outcome FROM task_create_items('q', 'g', '{0}'::jsonb[], key => 'group');
SELECT * FROM baton_check(true);
SELECT c.outcome FROM task_list('q') t, task_cancel(t.task_id) c;
SELECT tasks FROM baton_purge('0', queue => 'q');
SELECT left_over();
-- Two groups of one run; annotated items; a successor that somebody dispatched by hand.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', '{0}'::jsonb[]) \gset
SELECT outcome FROM task_create_items('q', 'h', '{0,1}'::jsonb[], max_parallel => 1, run_id => :run);
SELECT c.outcome FROM task_items(:run, 'g') i, task_cancel(i.task_id) c;
SELECT outcome FROM task_items(:run, 'g') i, task_dispatch_successor(i.task_id, 'by hand', 'q');
SELECT * FROM baton_purge('0');
SELECT c.outcome FROM task_list(run_id => :run, states => '{ready,blocked}') i, task_annotate(i.task_id, '{"a": 1}'), task_cancel(i.task_id) c;
SELECT * FROM baton_purge('0');
SELECT left_over();

-- max_tasks: several groups while they fit, one that is larger goes by itself.
SELECT count(DISTINCT run_id) FROM generate_series(1, 3) n, task_create_items('q', 'g' || n, '{0,1}'::jsonb[]);
SELECT count(DISTINCT run_id) FROM task_create_items('r', 'large', array_fill('0'::jsonb, ARRAY[10]));
SELECT count(c.outcome) FROM task_list() t, task_cancel(t.task_id) c;
SELECT count(done('q')) FROM generate_series(1, 2);
SELECT * FROM baton_purge('0', 2);
SELECT * FROM baton_purge('0', 5);
SELECT * FROM baton_purge('0', 5);
SELECT * FROM baton_purge('0', 5);
SELECT * FROM baton_purge('0', 5);
SELECT left_over();
SELECT count(DISTINCT run_id) FROM task_create_items('r', 'large', array_fill('0'::jsonb, ARRAY[10]));
SELECT count(c.outcome) FROM task_list() t, task_cancel(t.task_id) c;
SELECT * FROM baton_purge('0', 1);
SELECT left_over();
-- Until there is no more.
SELECT count(done('q')) FROM generate_series(1, 7);
SELECT count(DISTINCT run_id) FROM generate_series(1, 4) n, task_create_items('q', 'g' || n, '{0,1,2}'::jsonb[]);
SELECT count(c.outcome) FROM task_list('q', '{ready}') t, task_cancel(t.task_id) c;
CREATE PROCEDURE purge_all(size int) LANGUAGE plpgsql AS $$
DECLARE calls int := 0; p record; n bigint := 0; widest bigint := 0;
BEGIN
    LOOP
        SELECT * INTO p FROM baton_purge('0', size);
        COMMIT;
        calls := calls + 1; n := n + p.tasks; widest := greatest(widest, p.tasks);
        EXIT WHEN NOT p.more OR calls > 20;
    END LOOP;
    RAISE NOTICE '% tasks, at most % a call', n, widest;
END $$;
CALL purge_all(4);
SELECT left_over();

-- What tells of an end goes when it has ended itself: before the task it tells of, or after.
SELECT queue_alter('q', on_final_queue => 'ends');
SELECT done('q', 'told') AS t \gset
SELECT * FROM baton_purge('0', queue => 'ends');
SELECT * FROM baton_purge('0');
SELECT name, state, payload ->> 'key' AS told_of FROM task_get_by_key('ends', :'t');
SELECT * FROM baton_check(true);
SELECT f.outcome FROM task_acquire_lease('ends', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT tasks FROM baton_purge('0');
SELECT left_over();
SELECT done('q', 'told') AS t \gset
SELECT f.outcome FROM task_acquire_lease('ends', 'w') l, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT r.outcome FROM task_get_by_key('ends', :'t') n, task_redrive(n.task_id) r;
SELECT * FROM baton_purge('0', queue => 'ends');
SELECT * FROM baton_check(true);
SELECT state FROM task_get(:t);
-- (A purge is no end, nobody is told of it; nor is the end of a task told again because what told of it is gone.)
SELECT count(*) FROM task_list('ends');
SELECT outcome FROM task_cancel(:t);
SELECT count(*) FROM task_list('ends');
SELECT f.outcome, f.dispatched FROM task_acquire_lease('ends', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT tasks FROM baton_purge('0', queue => 'q');
SELECT * FROM baton_check(true);
SELECT tasks FROM baton_purge('0');
SELECT left_over();
-- Both at once, and of a group.
SELECT done('q', 'told');
SELECT count(DISTINCT run_id) FROM task_create_items('q', 'g', '{0,1}'::jsonb[]);
SELECT c.outcome FROM task_list('q', '{ready}') t, task_cancel(t.task_id) c;
SELECT f.outcome FROM task_acquire_lease('ends', 'w', max_tasks => 2) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT tasks FROM baton_purge('0', queue => 'ends');
SELECT * FROM baton_check(true);
SELECT tasks FROM baton_purge('0');
SELECT * FROM baton_check(true);
SELECT f.outcome FROM task_acquire_lease('ends', 'w', max_tasks => 2) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT tasks FROM baton_purge('0');
SELECT left_over();

-- Runs with a definition: one that has ended goes whole, with its tape, its steps, its bounds, and the definition if that is
-- its own. What is open stays, and so does a definition that has a name.
SELECT queue_alter('q', on_final_queue => '');
CREATE FUNCTION work_off(queue text, state text = 'completed', max_tasks int = 10) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM task_acquire_lease(queue, 'w', max_tasks => max_tasks) l, task_finalize(l.task_id, l.lease_token, state) f WHERE f.outcome = 'finalized' $$;
SELECT workflow_define('flow', '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input[*]", "max_parallel": 2}, {"name": "b", "queue": "r", "needs": ["a"]}, {"name": "never", "queue": "r", "needs": ["b"], "when": "failed"}], "max_parallel": 5}');
SELECT run_id AS named FROM workflow_start('flow', '[1, 2, 3]', key => 'k') \gset
SELECT run_id AS own FROM workflow_start(key => 'k', definition => '{"steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "r", "needs": ["a"]}]}') \gset
SELECT left_over();
SELECT work_off('q');
SELECT * FROM baton_purge('0');
SELECT work_off('q');
SELECT outcome FROM workflow_append_event(:named, 'note');
SELECT outcome FROM workflow_start('flow', '[1, 2, 3]', key => 'k');
SELECT work_off('r', max_tasks => 1);
SELECT run_id = :named AS named, state FROM baton.workflow_progress ORDER BY run_id;
-- By its queues and by its tasks' states, as a whole.
SELECT * FROM baton_purge('0', queue => 'q');
SELECT * FROM baton_purge('0', states => '{failed}');
SELECT (SELECT count(*) FROM task_list(run_id => :own) t, task_events(t.task_id)) + (SELECT count(*) FROM workflow_events(:own)) AS shown \gset
SELECT tasks, events = :shown AS as_shown, more FROM baton_purge('0', states => '{completed}');
SELECT left_over();
SELECT workflow_annotate(:own, '{}'), (SELECT count(*) FROM workflow_get(:own)) AS get, (SELECT count(*) FROM workflow_steps(:own)) AS steps, (SELECT count(*) FROM workflow_events(:own)) AS events;
SELECT step, state, total, completed FROM workflow_steps(:named);
SELECT * FROM baton_check(true);
SELECT work_off('r');
SELECT tasks, more FROM baton_purge('0');
SELECT left_over();
-- Their keys are free again.
SELECT outcome, run_id > :own AS new FROM workflow_start('flow', '[]', key => 'k');
SELECT outcome, run_id AS own FROM workflow_start(key => 'k', definition => '{"steps": [{"name": "a", "queue": "q"}]}') \gset
SELECT outcome, run_id = :own AS same FROM workflow_start(key => 'k', definition => '{"steps": [{"name": "a", "queue": "r"}]}');
SELECT state, version FROM baton.workflow_progress ORDER BY run_id;
SELECT outcome FROM workflow_cancel(:own);
SELECT work_off('r');
SELECT tasks, more FROM baton_purge('0');
SELECT left_over();
-- Paused, failing, being cancelled: open. A task that was redriven goes with the run whose place it had.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input"}, {"name": "b", "queue": "r", "needs": ["a"]}], "on_error": "pause"}', input => '[1, 2]') \gset
SELECT work_off('q', 'failed', 1);
SELECT work_off('q');
SELECT state FROM workflow_get(:run);
SELECT r.outcome FROM task_list(run_id => :run, states => '{failed}') t, task_redrive(t.task_id) r;
SELECT * FROM baton_purge('0');
SELECT workflow_resume(:run, 'on_error');
SELECT work_off('q', 'failed');
SELECT r.outcome FROM task_list(run_id => :run, states => '{failed}') t, task_redrive(t.task_id) r WHERE t.redrive_of IS NOT NULL;
SELECT state FROM workflow_get(:run);
SELECT left_over();
SELECT tasks, more FROM baton_purge('0');
SELECT left_over();
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input"}, {"name": "b", "queue": "r", "needs": ["a"]}]}', input => '[1, 2]') \gset
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT work_off('q', 'failed');
SELECT step, state FROM workflow_steps(:run);
SELECT * FROM baton_purge('0');
SELECT outcome, state FROM workflow_cancel(:run);
SELECT * FROM baton_purge('0');
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT state FROM workflow_get(:run);
SELECT tasks, more FROM baton_purge('0');
SELECT left_over();
-- Wide steps: the items that are no tasks yet keep a run open; those of a run that was cancelled are gone with it.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input[*]", "max_parallel": 2}]}', input => (SELECT jsonb_agg(n) FROM generate_series(1, 1500) n)) \gset
SELECT left_over();
SELECT work_off('q');
SELECT * FROM baton_purge('0');
SELECT outcome FROM workflow_cancel(:run);
SELECT counts FROM workflow_get(:run);
SELECT left_over();
SELECT * FROM baton_check(true);
SELECT * FROM baton_purge('0');
SELECT left_over();
-- A run without a definition that was ended by hand.
SELECT run_id AS run, task_id AS t FROM task_create_items('q', 'g', '{0}'::jsonb[]) \gset
SELECT outcome FROM task_cancel(:t);
SELECT workflow_finalize(:run, 'failed', '"result"');
SELECT pg_sleep(0.25);
SELECT run_id AS run, task_id AS t FROM task_create_items('q', 'g', '{0}'::jsonb[]) \gset
SELECT pg_sleep(0.25);
SELECT outcome FROM task_cancel(:t);
SELECT * FROM baton_purge('200 ms');
SELECT workflow_finalize(:run, 'completed');
SELECT * FROM baton_purge('200 ms');
SELECT * FROM baton_purge('0');
SELECT left_over();

-- What undoes a task is a task by itself, and goes by itself; the ledger stays with the task whose work it undid, and tells how that ended.
SELECT queue_create('undo', max_attempts => 1);
CREATE FUNCTION undone(queue text, state text, registrations int = 2) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE t bigint; l bigint;
BEGIN
    SELECT a.task_id, a.lease_token INTO t, l FROM task_acquire_lease(queue, 'w') a;
    PERFORM task_register_compensation(t, l, 'undo ' || n, 'undo') FROM generate_series(1, registrations) n;
    PERFORM task_finalize(t, l, state);
    RETURN t;
END $$;
CREATE FUNCTION ledger(t bigint) RETURNS TABLE (no int, name text, state text, has_task boolean, task_there boolean) LANGUAGE sql AS $$
    SELECT c.compensation_no, c.name, c.state, c.task_id IS NOT NULL, EXISTS (SELECT FROM baton.task k WHERE k.task_id = c.task_id) FROM task_compensations(t) c $$;
SELECT outcome FROM task_create('q');
SELECT undone('q', 'failed', 3) AS t \gset
SELECT work_off('undo');
SELECT * FROM baton_purge('0');
SELECT * FROM ledger(:t);
SELECT left_over();
SELECT * FROM baton_check(true);
SELECT work_off('undo');
SELECT work_off('undo');
SELECT state, reason FROM task_get(:t);
SELECT tasks, more FROM baton_purge('0', queue => 'undo');
SELECT * FROM ledger(:t);
SELECT left_over();
SELECT * FROM baton_check(true);
SELECT * FROM baton_purge('0', states => '{failed,completed,quarantined}');
SELECT count(*) AS shown FROM task_events(:t) \gset
SELECT tasks, events, events = :shown AS as_shown FROM baton_purge('0', states => '{compensated}');
SELECT * FROM ledger(:t);
SELECT left_over();
-- The task first: its ledger goes with it, and what undid it stays until it is purged itself.
SELECT outcome FROM task_create('q');
SELECT undone('q', 'cancelled') AS t \gset
SELECT work_off('undo');
SELECT work_off('undo', 'failed');
SELECT * FROM ledger(:t);
SELECT state, reason FROM task_get(:t);
SELECT tasks FROM baton_purge('0', queue => 'q');
SELECT * FROM ledger(:t);
SELECT left_over();
SELECT state, metadata - 'compensates' AS metadata, metadata -> 'compensates' = to_jsonb(:t) AS compensates FROM task_list('undo') ORDER BY task_id;
SELECT * FROM baton_check(true);
SELECT tasks FROM baton_purge('0');
SELECT left_over();
-- Registered, and not needed.
SELECT outcome FROM task_create('q');
SELECT undone('q', 'completed') AS t \gset
SELECT * FROM ledger(:t);
SELECT tasks FROM baton_purge('0');
SELECT left_over();
-- Undone, and then redriven.
SELECT outcome FROM task_create('q');
SELECT undone('q', 'failed') AS t \gset
SELECT work_off('undo') + work_off('undo') AS undone;
SELECT outcome, task_id AS n FROM task_redrive(:t) \gset
SELECT :'outcome' AS outcome, count(*) FROM task_compensations(:n);
SELECT tasks FROM baton_purge('0');
SELECT left_over();
SELECT undone('q', 'completed') = :n AS again;
SELECT tasks FROM baton_purge('0');
SELECT left_over();
-- Of a run: while it is undone it is open, whatever of its compensations has been purged; then it goes whole, with the ledger of all its tasks.
SELECT run_id AS run FROM workflow_start(definition => '{"max_parallel": 1, "steps": [{"name": "a", "queue": "q", "with_items": "$.input", "max_parallel": 1, "compensate": {"queue": "undo"}}, {"name": "b", "queue": "r", "needs": ["a"]}]}', input => '[1, 2]') \gset
SELECT undone('q', 'completed', 1) IS NOT NULL AS first, undone('q', 'completed', 0) IS NOT NULL AS second;
SELECT undone('r', 'failed', 1) IS NOT NULL AS third;
SELECT work_off('undo');
SELECT state, counts FROM workflow_get(:run);
SELECT work_off('undo');
SELECT tasks, more FROM baton_purge('0');
SELECT step, item_index, compensation_no, name, state FROM workflow_compensations(:run);
SELECT left_over();
SELECT * FROM baton_check(true);
SELECT work_off('undo'), work_off('undo');
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM baton_purge('0', states => '{completed,failed}', queue => 'q');
SELECT tasks, more FROM baton_purge('0', states => '{completed}', queue => 'undo');
SELECT step, item_index, compensation_no, name, state FROM workflow_compensations(:run);
SELECT * FROM baton_check(true);
SELECT (SELECT count(*) FROM task_list(run_id => :run) t, task_events(t.task_id)) + (SELECT count(*) FROM workflow_events(:run)) AS shown \gset
SELECT tasks, events = :shown AS as_shown, more FROM baton_purge('0');
SELECT count(*) FROM workflow_compensations(:run);
SELECT left_over();
-- And the run first.
SELECT run_id AS run FROM task_create_items('q', 'g', '{0}'::jsonb[]) \gset
SELECT undone('q', 'completed') IS NOT NULL AS done;
SELECT workflow_finalize(:run, 'cancelled');
SELECT * FROM baton_purge('0');
SELECT work_off('undo');
SELECT work_off('undo', 'quarantined');
SELECT state FROM workflow_get(:run);
SELECT tasks FROM baton_purge('0', queue => 'q');
SELECT left_over();
SELECT * FROM baton_check(true);
SELECT tasks FROM baton_purge('0');
SELECT left_over();

-- A slot key with a name stays, as its queues do; its slots are free.
SELECT slot_set('key', 2);
SELECT c.outcome, c.state FROM generate_series(1, 3) n, task_create('q', to_jsonb(n), slot_keys => '{key}') c;
SELECT f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 1) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT tasks FROM baton_purge('0');
SELECT slot_key, capacity, holders, waiters FROM baton.slot_usage;
SELECT work_off('q');
SELECT tasks FROM baton_purge('0');
SELECT slot_key, capacity, holders, waiters FROM baton.slot_usage;
SELECT left_over();
SELECT * FROM baton_check(true);

-- Errors.
SELECT * FROM baton_purge(NULL);
SELECT * FROM baton_purge('0', NULL);
SELECT * FROM baton_purge('-1 s');
SELECT * FROM baton_purge('11 years');
SELECT * FROM baton_purge('100000000 years');
SELECT * FROM baton_purge('0', 0);
SELECT * FROM baton_purge('0', -1);
SELECT * FROM baton_purge('0', 100001);
SELECT * FROM baton_purge('0', queue => 'nowhere');
SELECT * FROM baton_purge('0', queue => '');
SELECT * FROM baton_purge('0', states => '{ready}');
SELECT * FROM baton_purge('0', states => '{completed,done}');
SELECT * FROM baton_purge('0', states => ARRAY[NULL]::text[]);
SELECT * FROM baton_purge('0', states => '{{failed},{completed}}');

SELECT * FROM baton_check(true);
