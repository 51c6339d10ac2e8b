-- Compensations of a run: it fails or is cancelled, and what its tasks had done is undone, what was registered last first.

SELECT queue_create('q', lease_ttl => '1 h', max_attempts => 1);
SELECT queue_create('undo', lease_ttl => '1 h', max_attempts => 1);
-- The next ready task of a step is leased, registers these compensations, and ends so.
CREATE FUNCTION go(run bigint, step text, how text = 'completed', result jsonb = NULL, registers text[] = '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE t bigint; k bigint; name text; said text;
BEGIN
    SELECT l.task_id INTO STRICT t FROM task_list(states => '{ready}', name => step, run_id => run) l ORDER BY item_index LIMIT 1;
    SELECT a.lease_token INTO k FROM task_acquire_lease_by_id(t, 'w') a;
    FOREACH name IN ARRAY registers LOOP PERFORM task_register_compensation(t, k, name, 'undo', '{"by": "itself"}'); END LOOP;
    IF how = 'runs' THEN RETURN 'runs'; END IF;
    SELECT f.outcome INTO said FROM task_finalize(t, k, how, result, CASE WHEN how <> 'completed' THEN '"broken"'::jsonb END) f;
    RETURN said;
END $$;
-- The same for one that runs.
CREATE FUNCTION ends(run bigint, step text, how text = 'completed', result jsonb = NULL) RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome FROM (SELECT * FROM task_list(states => '{running}', name => step, run_id => run) ORDER BY item_index LIMIT 1) l, task_finalize(l.task_id, l.lease_token, how, result) f $$;
-- A worker undoes the next thing.
CREATE FUNCTION undoes(how text = 'completed') RETURNS TABLE (name text, payload jsonb, outcome text) LANGUAGE sql AS $$
    SELECT l.name, l.payload, f.outcome FROM task_acquire_lease('undo', 'undoer') l, task_finalize(l.task_id, l.lease_token, how) f $$;
-- Workers undo until nothing is left: in this order.
CREATE FUNCTION undone() RETURNS text LANGUAGE plpgsql AS $$
DECLARE names text[] = '{}'; name text;
BEGIN
    LOOP
        SELECT u.name || coalesce(' ' || (u.payload ->> 'n'), '') INTO name FROM undoes() u;
        EXIT WHEN NOT FOUND;
        names := names || name;
    END LOOP;
    RETURN array_to_string(names, ', ');
END $$;
-- How a run stands.
CREATE FUNCTION stands(run bigint) RETURNS TABLE (state text, checkpoint text, counts jsonb, steps text) LANGUAGE sql AS $$
    SELECT state, checkpoint, counts, (SELECT string_agg(step || ' ' || state, ', ' ORDER BY s.n) FROM (SELECT *, row_number() OVER () AS n FROM workflow_steps(run)) s) FROM workflow_get(run) $$;
-- Its ledger.
CREATE FUNCTION ledger(run bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(step || coalesce('[' || item_index || ']', '') || ':' || name || ' ' || state, ', ' ORDER BY n) FROM (SELECT *, row_number() OVER () AS n FROM workflow_compensations(run)) c $$;
-- Its tape, from an event on.
CREATE FUNCTION tape(run bigint, after bigint = 0) RETURNS TABLE (seq bigint, kind text, body jsonb) LANGUAGE sql AS $$
    SELECT seq, kind, body - 'task_id' - 'of_task_id' FROM workflow_events(run, after) $$;

-- From the beginning to the end: steps that say how they are undone, a task that says so itself, items that end in another order.
SELECT workflow_define('trip', '{"steps": [
    {"name": "book", "queue": "q", "compensate": {"queue": "undo", "payload": {"booking": "$.steps.book.result.id", "same": "$.task.result.id", "for": "$.input.who", "by": "$.task.payload"}}, "payload": {"from": "$.input.from"}},
    {"name": "pack", "queue": "q", "needs": ["book"], "with_items": "$.steps.book.result.bags", "compensate": {"queue": "undo", "payload": {"bag": "$.task.result.bag", "index": "$.task.item_index", "item": "$.task.payload", "of": "$.steps.pack.result", "ids": ["$.steps.book.result.id", 1]}}},
    {"name": "insure", "queue": "q", "needs": ["pack"], "compensate": {"queue": "undo"}},
    {"name": "look", "queue": "q", "needs": ["insure"]},
    {"name": "leave", "queue": "q", "needs": ["look"], "compensate": {"queue": "undo"}},
    {"name": "send card", "queue": "q", "needs": ["leave"]} ]}');
SELECT run_id AS run FROM workflow_start('trip', '{"who": "Ada", "from": "London"}') \gset
SELECT go(:run, 'book', result => '{"id": 17, "bags": ["red", "blue", "green"]}', registers => '{call off}');
SELECT go(:run, 'pack', 'runs', registers => '{open the first}'), go(:run, 'pack', 'runs'), go(:run, 'pack', result => '{"bag": "G"}', registers => '{open the third}');
SELECT ends(:run, 'pack', result => '{"bag": "R"}'), ends(:run, 'pack', result => '{"bag": "B"}');
SELECT go(:run, 'insure'), go(:run, 'look');
SELECT step, item_index, compensation_no, name, queue, payload, task_id, state, error FROM workflow_compensations(:run);
SELECT go(:run, 'leave', 'failed');
SELECT * FROM stands(:run);
SELECT * FROM tape(:run, 10);
SELECT step, item_index, compensation_no, name, queue, payload, task_id IS NOT NULL AS task, state FROM workflow_compensations(:run);
-- One at a time. The task says whose work it undoes.
SELECT queue, name, key, state, l.run_id, item_index, metadata -> 'run_id' = to_jsonb(:run) AS of_the_run, metadata - 'run_id' - 'compensates' AS metadata FROM task_list('undo') l;
SELECT * FROM undoes();
SELECT * FROM undoes();
SELECT * FROM undoes();
SELECT * FROM undoes();
SELECT * FROM stands(:run);
SELECT * FROM undoes();
SELECT * FROM undoes();
SELECT * FROM undoes();
SELECT * FROM stands(:run);
SELECT * FROM undoes();
SELECT * FROM undoes();
SELECT * FROM stands(:run);
SELECT * FROM tape(:run, 15);
SELECT kind, body -> 'of_task_id' = to_jsonb(c.of_task_id) AS of_task, body -> 'task_id' = to_jsonb(c.task_id) AS task FROM workflow_events(:run) e, workflow_compensations(:run) c
WHERE kind = 'baton.compensation_finalized' AND body -> 'of_task_id' = to_jsonb(c.of_task_id) AND body -> 'compensation_no' = to_jsonb(c.compensation_no) ORDER BY seq;
SELECT ledger(:run);
SELECT result, finalized_at IS NOT NULL AS finalized FROM workflow_get(:run);
SELECT workflow_mermaid(:run);
-- The completed tasks stay completed; their own ledger is the run's.
SELECT name, item_index, l.state, c.* FROM task_list(run_id => :run) l, LATERAL (SELECT string_agg(c.name || ' ' || c.state, ', ' ORDER BY compensation_no) AS ledger FROM task_compensations(l.task_id) c) c ORDER BY l.task_id;

-- A run that completes undoes nothing.
SELECT run_id AS run FROM workflow_start('trip') \gset
SELECT go(:run, 'book', result => '{"bags": [1]}', registers => '{call off}'), go(:run, 'pack'), go(:run, 'insure'), go(:run, 'look'), go(:run, 'leave'), go(:run, 'send card');
SELECT * FROM stands(:run);
SELECT ledger(:run);
SELECT undone();
-- One in which nothing was done, or nothing can be undone, ends as it would.
SELECT run_id AS run FROM workflow_start('trip') \gset
SELECT go(:run, 'book', 'failed');
SELECT * FROM stands(:run);
SELECT count(*) FROM workflow_compensations(:run);
SELECT run_id AS run FROM workflow_start('trip') \gset
SELECT * FROM workflow_cancel(:run);
SELECT * FROM stands(:run);

-- on_error fail: what has not started is called off, what runs may end: what it has done is undone, too. The failing task undoes its own first.
SELECT workflow_define('boxes', '{"steps": [
    {"name": "open", "queue": "q", "compensate": {"queue": "undo", "payload": {"n": "open"}}},
    {"name": "fill", "queue": "q", "needs": ["open"], "with_items": "$.input", "compensate": {"queue": "undo", "payload": {"n": "$.task.item_index"}}},
    {"name": "close", "queue": "q", "needs": ["fill"]},
    {"name": "report", "queue": "q", "needs": ["fill"], "when": "failed", "compensate": {"queue": "undo"}} ]}');
SELECT run_id AS run FROM workflow_start('boxes', '[0, 1, 2, 3, 4, 5]') \gset
SELECT go(:run, 'open'), go(:run, 'fill'), go(:run, 'fill', 'runs'), go(:run, 'fill', 'runs', registers => '{mop}');
-- (item 3 has been tried before: what it has done is undone as it is called off)
SELECT r.outcome FROM task_list(states => '{ready}', run_id => :run) l, task_acquire_lease_by_id(l.task_id, 'w') a, task_register_compensation(l.task_id, a.lease_token, 'sweep', 'undo') r WHERE item_index = 3;
SELECT r.outcome FROM task_list(states => '{running}', run_id => :run) l, task_release(l.task_id, l.lease_token) r WHERE item_index = 3;
SELECT l.item_index, r.outcome FROM task_list(states => '{running}', run_id => :run) l, task_register_compensation(l.task_id, l.lease_token, 'wipe', 'undo', to_jsonb(item_index)) r ORDER BY 1;
SELECT ends(:run, 'fill', 'failed');
SELECT * FROM stands(:run);
SELECT item_index, state FROM task_list(run_id => :run, name => 'fill') ORDER BY 1;
SELECT ledger(:run);
SELECT * FROM undoes();
SELECT * FROM stands(:run);
SELECT ends(:run, 'fill');
SELECT undone();
SELECT * FROM stands(:run);
-- Its handler still runs; what that has done is undone like the rest.
SELECT go(:run, 'report');
SELECT * FROM stands(:run);
SELECT ledger(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT ledger(:run);
SELECT * FROM tape(:run, 4);
SELECT item_index, state, reason FROM task_list(run_id => :run, name => 'fill') ORDER BY 1;

-- on_error continue: the rest goes on, and in the end the run has failed.
SELECT run_id AS run FROM workflow_start(definition => '{"on_error": "continue", "steps": [{"name": "a", "queue": "q", "compensate": {"queue": "undo"}}, {"name": "b", "queue": "q"}, {"name": "c", "queue": "q", "needs": ["b"], "when": "failed", "compensate": {"queue": "undo"}}]}') \gset
SELECT go(:run, 'b', 'failed', registers => '{b1,b2}');
SELECT * FROM stands(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT go(:run, 'c'), go(:run, 'a');
SELECT ledger(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT step, total, running, completed, failed FROM workflow_steps(:run);

-- on_error pause: the run hears of the failure at once; what failed is undone all the same, and can be done again then.
SELECT workflow_define('pausing', '{"on_error": "pause", "steps": [{"name": "a", "queue": "q", "with_items": "$.input", "compensate": {"queue": "undo", "payload": {"n": "$.task.item_index"}}}, {"name": "b", "queue": "q", "needs": ["a"]}]}');
SELECT run_id AS run FROM workflow_start('pausing', '[1, 2]') \gset
SELECT go(:run, 'a', 'failed', registers => '{a1,a2}');
SELECT * FROM stands(:run);
SELECT jsonb_array_length(checkpoint_detail -> 'failed') AS failed FROM workflow_get(:run);
SELECT r.outcome FROM task_list(run_id => :run, states => '{compensating}') l, task_redrive(l.task_id) r;
SELECT undone();
SELECT * FROM stands(:run);
SELECT jsonb_array_length(checkpoint_detail -> 'failed') AS failed FROM workflow_get(:run);
SELECT step, total, running, completed, failed FROM workflow_steps(:run);
SELECT l.task_id AS old, r.outcome, r.task_id AS new FROM task_list(run_id => :run, states => '{compensated}') l, task_redrive(l.task_id) r \gset
SELECT :'outcome' AS outcome, outcome AS again, task_id = :new AS same FROM task_redrive(:old);
SELECT * FROM stands(:run);
SELECT checkpoint_detail FROM workflow_get(:run);
SELECT step, total, running, completed, failed FROM workflow_steps(:run);
SELECT * FROM baton_check(true);
SELECT workflow_resume(:run, 'on_error');
SELECT go(:run, 'a', registers => '{a1}'), go(:run, 'a');
SELECT * FROM stands(:run);
-- What is undone in the end is what was done: not once more what the old task had undone.
SELECT go(:run, 'b', 'failed');
SELECT ledger(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT ledger(:run);
-- Without a redrive it goes on, and fails.
SELECT run_id AS run FROM workflow_start('pausing', '[1, 2]') \gset
SELECT go(:run, 'a'), go(:run, 'a', 'failed', registers => '{a1}');
SELECT workflow_resume(:run, 'on_error');
SELECT * FROM stands(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT * FROM tape(:run, 2);
-- One that is cancelled in a paused run, and has to be undone: redriven, it stands in its place, and counts for nothing.
SELECT run_id AS run FROM workflow_start('pausing', '[1, 2, 3]') \gset
SELECT go(:run, 'a', 'runs', registers => '{a1}'), go(:run, 'a', 'failed', registers => '{a2}');
SELECT c.* FROM task_list(run_id => :run, states => '{running}') l, task_cancel(l.task_id, force => true) c;
SELECT undone();
SELECT * FROM stands(:run);
SELECT r.outcome FROM task_list(run_id => :run, states => '{compensated}') l, task_redrive(l.task_id) r ORDER BY l.task_id;
SELECT * FROM stands(:run);
SELECT step, total, running, completed, failed FROM workflow_steps(:run);
SELECT * FROM baton_check(true);
SELECT workflow_resume(:run, 'on_error');
SELECT go(:run, 'a'), go(:run, 'a'), go(:run, 'a'), go(:run, 'b');
SELECT * FROM stands(:run);

-- workflow_cancel: what had not started ends, what was done is undone. ask: workers are told.
SELECT run_id AS run FROM workflow_start('boxes', '[0, 1, 2]') \gset
SELECT go(:run, 'open'), go(:run, 'fill'), go(:run, 'fill', 'runs', registers => '{mop}');
SELECT * FROM workflow_cancel(:run, 'not wanted');
SELECT * FROM stands(:run);
SELECT r.outcome FROM task_list(run_id => :run, states => '{running}') l, task_release(l.task_id, l.lease_token) r;
SELECT * FROM stands(:run);
SELECT * FROM workflow_cancel(:run, 'again');
SELECT undone();
SELECT * FROM stands(:run);
SELECT * FROM tape(:run, 4);
SELECT * FROM workflow_cancel(:run);
-- leave: it may complete, and then that is undone, too.
SELECT run_id AS run FROM workflow_start('boxes', '[0, 1, 2]') \gset
SELECT go(:run, 'open'), go(:run, 'fill', 'runs', registers => '{mop}'), go(:run, 'fill', 'runs');
SELECT * FROM workflow_cancel(:run, running => 'leave');
SELECT ends(:run, 'fill'), ends(:run, 'fill');
SELECT * FROM stands(:run);
SELECT * FROM workflow_cancel(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT reason FROM (SELECT body ->> 'reason' AS reason FROM workflow_events(:run) WHERE kind = 'final') f;
-- force: it ends at once; what it has done is undone first, then the rest.
SELECT run_id AS run FROM workflow_start('boxes', '[0, 1, 2]') \gset
SELECT go(:run, 'open'), go(:run, 'fill'), go(:run, 'fill', 'runs', registers => '{mop}'), go(:run, 'fill', 'runs');
SELECT * FROM workflow_cancel(:run, 'now', 'force');
SELECT * FROM stands(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT item_index, state, reason FROM task_list(run_id => :run, name => 'fill') ORDER BY 1;
-- Nothing runs: it is undone at once.
SELECT run_id AS run FROM workflow_start('boxes', '[0, 1, 2]') \gset
SELECT go(:run, 'open');
SELECT * FROM workflow_cancel(:run, 'now');
SELECT * FROM stands(:run);
SELECT undone();
SELECT * FROM stands(:run);
-- A paused one, while one of its tasks is undone.
SELECT run_id AS run FROM workflow_start('pausing', '[1, 2, 3]') \gset
SELECT go(:run, 'a'), go(:run, 'a', 'failed', registers => '{a1}');
SELECT * FROM workflow_cancel(:run, 'enough', 'force');
SELECT * FROM stands(:run);
SELECT undone();
SELECT * FROM stands(:run);

-- While a run is undone, nothing else happens in it.
SELECT run_id AS run FROM workflow_start('boxes', '[0, 1, 2]') \gset
SELECT go(:run, 'open'), go(:run, 'fill');
SELECT * FROM workflow_cancel(:run, 'now', 'force');
SELECT r::text AS before, (SELECT count(*) FROM baton.event WHERE tape_id = :run) AS events FROM baton.run r WHERE run_id = :run \gset
SELECT 'pause' AS call, workflow_pause(:run, 'here') AS outcome UNION ALL
SELECT 'resume', workflow_resume(:run, 'here') UNION ALL
SELECT 'cancel', outcome FROM workflow_cancel(:run) UNION ALL
SELECT 'cancel with force', outcome FROM workflow_cancel(:run, 'now', 'force') UNION ALL
SELECT 'redrive', outcome FROM task_list(run_id => :run, states => '{cancelled}') l, task_redrive(l.task_id) UNION ALL
SELECT 'dispatch', outcome FROM task_list(run_id => :run, states => '{completed}') l, task_dispatch_successor(l.task_id, 'more', 'q');
SELECT r::text = :'before' AS as_it_was, (SELECT count(*) FROM baton.event WHERE tape_id = :run) - :events AS more_events FROM baton.run r WHERE run_id = :run;
CREATE FUNCTION more_items(run bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT min(outcome) FROM task_create_items('q', 'more', '{1}', run_id => run));
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    RETURN replace(SQLERRM, run::text, 'N');
END $$;
SELECT more_items(:run);
-- Its own metadata and tape stay open.
SELECT workflow_annotate(:run, '{"who": "Ada"}'), outcome FROM workflow_append_event(:run, 'note', '1');
SELECT run_id = :run AS this, state FROM baton.workflow_progress WHERE state = 'compensating';
SELECT undone();
SELECT * FROM stands(:run);
SELECT outcome FROM workflow_append_event(:run, 'note', '2');
SELECT workflow_pause(:run, 'here'), workflow_resume(:run, 'here'), workflow_annotate(:run, '{"who": "Bob"}');
SELECT * FROM workflow_cancel(:run);
SELECT more_items(:run);

-- A pause before that holds for no compensation: neither of a task, nor of the run.
SELECT run_id AS run FROM workflow_start('boxes', '[0, 1]') \gset
SELECT go(:run, 'open'), go(:run, 'fill', 'runs', registers => '{mop}');
SELECT workflow_pause(:run, 'here');
SELECT ends(:run, 'fill', 'failed');
SELECT * FROM stands(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT workflow_resume(:run, 'here');
SELECT go(:run, 'report');
SELECT undone();
SELECT * FROM stands(:run);

-- A run without a definition.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', '{0,1,2}') \gset
SELECT go(:run, 'g', registers => '{g0}'), go(:run, 'g', 'failed', registers => '{g1,g2}'), go(:run, 'g', 'runs', registers => '{g3}');
SELECT * FROM stands(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT workflow_finalize(:run, 'failed');
SELECT ends(:run, 'g');
SELECT * FROM stands(:run);
SELECT workflow_finalize(:run, 'failed', '"sorry"');
SELECT workflow_finalize(:run, 'failed', '"sorry"'), workflow_finalize(:run, 'failed'), workflow_finalize(:run, 'completed'), workflow_finalize(:run, 'cancelled', '"sorry"');
SELECT * FROM stands(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT result FROM workflow_get(:run);
SELECT workflow_finalize(:run, 'failed', '"sorry"'), workflow_finalize(:run, 'failed'), workflow_finalize(:run, 'completed', '"sorry"');
SELECT * FROM tape(:run, 3);
-- Completed: nothing.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', '{0}') \gset
SELECT go(:run, 'g', registers => '{g0}'), workflow_finalize(:run, 'completed');
SELECT * FROM stands(:run);
-- Cancelled by workflow_finalize, or by workflow_cancel when all is done.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', '{0}') \gset
SELECT go(:run, 'g', registers => '{g0}'), workflow_finalize(:run, 'cancelled');
SELECT undone();
SELECT * FROM stands(:run);
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', '{0}') \gset
SELECT go(:run, 'g', registers => '{g0}');
SELECT * FROM workflow_cancel(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT undone();

-- Slots: an item that is undone keeps its place among those that may run, so that no other takes over half undone work.
SELECT run_id AS run FROM workflow_start(definition => '{"on_error": "continue", "steps": [{"name": "a", "queue": "q", "with_items": "$.input", "max_parallel": 1, "compensate": {"queue": "undo", "payload": {"n": "$.task.item_index"}}}]}', input => '[1, 2, 3]') \gset
SELECT go(:run, 'a', 'failed', registers => '{a1,a2}');
SELECT * FROM stands(:run);
SELECT capacity, holders, waiters FROM baton.slot_usage WHERE run_id = :run;
SELECT name, outcome FROM undoes();
SELECT capacity, holders, waiters FROM baton.slot_usage WHERE run_id = :run;
SELECT name, outcome FROM undoes();
SELECT * FROM stands(:run);
SELECT capacity, holders, waiters FROM baton.slot_usage WHERE run_id = :run;
SELECT go(:run, 'a'), go(:run, 'a');
SELECT undone();
SELECT * FROM stands(:run);

-- A group is not over while one of its items is undone: what comes after it waits, and learns that it failed.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', '{0,1}', successor => 'sum', successor_queue => 'q') \gset
SELECT go(:run, 'g'), go(:run, 'g', 'failed', '"as far as it came"', '{g1,g2}');
SELECT d.outcome, siblings_remaining, completed, failed, cancelled FROM task_list(run_id => :run, states => '{completed}') l, task_dispatch_successor(l.task_id, 'mine', 'q') d;
SELECT name, outcome FROM undoes();
SELECT * FROM stands(:run);
SELECT name, outcome FROM undoes();
SELECT * FROM stands(:run);
SELECT d.outcome, siblings_remaining, completed, failed, cancelled FROM task_list(run_id => :run, states => '{completed}') l, task_dispatch_successor(l.task_id, 'mine', 'q') d;
SELECT item_index, state, result, error FROM task_items(:run, 'g');
SELECT go(:run, 'sum'), go(:run, 'mine'), workflow_finalize(:run, 'completed');
SELECT * FROM stands(:run);

-- Items that come in batches are undone like all others; what never became a task was never done.
SELECT queue_create('undo many');
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input", "compensate": {"queue": "undo many", "payload": "$.task.item_index"}}]}', input => (SELECT jsonb_agg(n) FROM generate_series(1, 2100) n)) \gset
CREATE FUNCTION work_off(how_many int) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(f.outcome) FROM (SELECT array_agg(task_id) AS ids, array_agg(lease_token) AS tokens FROM task_acquire_lease('q', 'w', max_tasks => how_many)) l, task_finalize_many(ids, tokens, array_fill('completed'::text, ARRAY[how_many])) f $$;
SELECT work_off(1000), work_off(5);
SELECT outcome, state FROM workflow_cancel(:run);
SELECT * FROM stands(:run);
SELECT state, count(*), count(task_id) AS tasks, min(item_index), max(item_index) FROM workflow_compensations(:run) GROUP BY 1 ORDER BY 1;
CREATE FUNCTION items_undone(how_many int) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE items int[] = '{}'; c record;
BEGIN
    FOR i IN 1 .. how_many LOOP
        SELECT * INTO STRICT c FROM task_acquire_lease('undo many', 'undoer');
        PERFORM task_finalize(c.task_id, c.lease_token, 'completed');
        items := items || c.payload::int;
    END LOOP;
    RETURN items;
END $$;
SELECT items_undone(10);
SELECT state, count(*), count(task_id) AS tasks, min(item_index), max(item_index) FROM workflow_compensations(:run) GROUP BY 1 ORDER BY 1;
-- One of them gives up: the rest stays done.
SELECT f.outcome, f.dispatched FROM task_acquire_lease('undo many', 'undoer') l, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT state, count(*), count(task_id) AS tasks FROM workflow_compensations(:run) GROUP BY 1 ORDER BY 1;
SELECT * FROM stands(:run);

-- Payloads are the same whoever ends the task before, with whatever settings. A step may have any name.
SET TimeZone = 'Asia/Kolkata';
SET DateStyle = 'SQL, DMY';
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "the \"first\" $.step", "queue": "q", "compensate": {"queue": "undo", "payload": {"later": "$.task.result.at ? (@.datetime() > \"2026-01-01T00:00:00+00\".datetime())", "when": "$.task.result.at.datetime().type()", "own": "$.steps.\"the \\\"first\\\" $.step\".state", "number": "$.task.result.number", "text": "as it is", "list": ["$.task.result.list[*]", "$.task.result.list"], "none": "$.input.nothing"}}}, {"name": "b", "queue": "q", "needs": ["the \"first\" $.step"]}]}') \gset
SELECT go(:run, 'the "first" $.step', result => '{"at": "2026-01-01T01:00:00+00", "number": 12345678901234567890.1234567890, "list": [1, 2]}'), go(:run, 'b', 'failed');
RESET TimeZone;
RESET DateStyle;
SELECT name, jsonb_pretty(payload) AS payload FROM undoes();
SELECT * FROM stands(:run);

-- Rolled back: as if nothing had been said.
SELECT run_id AS run FROM workflow_start('boxes', '[0]') \gset
SELECT go(:run, 'open');
SELECT count(*) AS tasks FROM baton.task \gset
BEGIN;
SELECT outcome, state FROM workflow_cancel(:run);
SELECT undone();
SELECT state FROM stands(:run);
ROLLBACK;
SELECT * FROM stands(:run);
SELECT ledger(:run), (SELECT count(*) FROM baton.task) = :tasks AS as_it_was;
BEGIN;
SELECT outcome, state FROM workflow_cancel(:run);
SAVEPOINT s;
SELECT undone();
ROLLBACK TO s;
SELECT ledger(:run);
COMMIT;
SELECT undone();
SELECT * FROM stands(:run);

-- Two runs are undone each for itself.
SELECT run_id AS run FROM workflow_start('boxes', '[0]') \gset
SELECT run_id AS run2 FROM workflow_start('boxes', '[1]') \gset
SELECT go(:run, 'open', registers => '{one}'), go(:run2, 'open', registers => '{two}');
SELECT c.* FROM unnest(ARRAY[:run, :run2]) r, workflow_cancel(r) c;
SELECT metadata -> 'run_id' = to_jsonb(:run) AS first, name, state FROM task_list('undo', '{ready}') ORDER BY task_id;
SELECT f.outcome, f.state FROM (SELECT array_agg(task_id) AS ids, array_agg(lease_token) AS tokens FROM task_acquire_lease('undo', 'undoer', max_tasks => 10)) l, task_finalize_many(ids, tokens, '{failed,completed}') f;
SELECT state, ledger(r) FROM unnest(ARRAY[:run, :run2]) r, stands(r);
SELECT undone();
SELECT state, ledger(r) FROM unnest(ARRAY[:run, :run2]) r, stands(r);

-- A task that its worker quarantined keeps what it had registered for people to look at; what others did is undone.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "compensate": {"queue": "undo"}}, {"name": "b", "queue": "q", "needs": ["a"]}]}') \gset
SELECT go(:run, 'a'), go(:run, 'b', 'quarantined', registers => '{b1}');
SELECT undone();
SELECT * FROM stands(:run);
SELECT ledger(:run);

-- In a run that is called off, what is given back is tried no more: what it had done is undone.
SELECT queue_create('patient', lease_ttl => '1 h', max_attempts => 3);
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "patient"}]}') \gset
SELECT go(:run, 'a', 'runs', registers => '{a1}');
SELECT outcome, state FROM workflow_cancel(:run, running => 'leave');
SELECT f.outcome, f.state FROM task_list(run_id => :run) l, task_fail_attempt(l.task_id, l.lease_token, '"not yet"', '1 h') f;
SELECT count(*) FROM task_acquire_lease('patient', 'w');
SELECT * FROM stands(:run);
SELECT undone();
SELECT * FROM stands(:run);
SELECT state, reason, error FROM task_list(run_id => :run) l, LATERAL (SELECT error FROM task_get(l.task_id)) e;

-- Who undoes need not know whose work it is, nor have a say there; who works need not have one where it is undone.
CREATE ROLE regress_works;
CREATE ROLE regress_undoes;
SELECT baton_grant('regress_works', 'work', 'q'), baton_grant('regress_undoes', 'work', 'undo');
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "compensate": {"queue": "undo"}}, {"name": "b", "queue": "q", "needs": ["a"]}]}') \gset
SET ROLE regress_works;
SELECT go(:run, 'a'), go(:run, 'b', 'failed');
SELECT count(*) FROM task_acquire_lease('undo', 'undoer');
SET ROLE regress_undoes;
SELECT outcome FROM task_list() l, task_cancel(l.task_id);
SELECT undone();
SELECT count(*) FROM workflow_get(:run);
SELECT count(*) FROM workflow_compensations(:run);
SET ROLE regress_works;
SELECT * FROM stands(:run);
SELECT ledger(:run);
RESET ROLE;

-- A purge takes what undid as it takes every task that stands alone; the run with its ledger goes when it is over, as a whole.
SELECT run_id AS run FROM workflow_start('boxes', '[0]') \gset
SELECT go(:run, 'open', registers => '{o1,o2}');
SELECT outcome, state FROM workflow_cancel(:run);
SELECT name, outcome FROM undoes();
SELECT more FROM baton_purge('0');
SELECT * FROM stands(:run);
SELECT ledger(:run);
SELECT * FROM baton_check(true);
SELECT undone();
SELECT * FROM stands(:run);
SELECT tasks FROM baton_purge('0', queue => 'q');
SELECT * FROM stands(:run);
SELECT count(*) FROM workflow_compensations(:run);
SELECT tasks FROM baton_purge('0');
SELECT (SELECT count(*) FROM baton.task) AS tasks, (SELECT count(*) FROM baton.run) AS runs, (SELECT count(*) FROM baton.compensation) AS compensations, (SELECT count(*) FROM baton.saga) AS ends, (SELECT count(*) FROM baton.event) AS events;

-- What a definition may say.
SELECT workflow_define('x', '{"steps": [{"name": "a", "queue": "q", "compensate": "undo"}]}');
SELECT workflow_define('x', '{"steps": [{"name": "a", "queue": "q", "compensate": {"queue": "undo", "when": "failed"}}]}');
SELECT workflow_define('x', '{"steps": [{"name": "a", "queue": "q", "compensate": {"queue": "undo", "payload": {"a": "$.steps.b.result"}}}, {"name": "b", "queue": "q", "needs": ["a"]}]}');
SELECT workflow_define('x', '{"steps": [{"name": "a", "queue": "q", "compensate": {"queue": "undo", "payload": "$.item"}}]}');
SELECT workflow_define('x', '{"steps": [{"name": "a", "queue": "q", "compensate": {"queue": "nowhere"}}]}');
SELECT * FROM workflow_start('x');
-- Its queue is not dropped while a run may need it.
SELECT queue_create('undo later');
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q", "compensate": {"queue": "undo later"}}, {"name": "b", "queue": "q", "needs": ["a"]}]}') \gset
SELECT queue_drop('undo later');
SELECT go(:run, 'a'), go(:run, 'b');
SELECT queue_drop('undo later');

SELECT * FROM baton_check(true);
