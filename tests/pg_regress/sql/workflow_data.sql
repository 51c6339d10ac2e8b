-- workflows: what flows from step to step. Payload templates, with_items, joins, and paths that meet what they cannot read.

SELECT queue_create('q', lease_ttl => '1 min');
-- Runs one definition of steps, completing what comes with what its payload says, and shows the payloads in order.
CREATE FUNCTION payloads(steps jsonb, input jsonb = '{}', OUT name text, OUT item int, OUT payload jsonb) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE run bigint; task record;
BEGIN
    SELECT s.run_id INTO run FROM workflow_start(input => input, definition => jsonb_build_object('on_error', 'continue', 'steps', (SELECT jsonb_agg(s || '{"queue": "q"}' ORDER BY i) FROM jsonb_array_elements(steps) WITH ORDINALITY AS e (s, i)))) s;
    LOOP
        SELECT * INTO task FROM task_acquire_lease('q', 'w');
        EXIT WHEN NOT FOUND;
        PERFORM task_finalize(task.task_id, task.lease_token, 'completed', task.payload);
        name := task.name; item := task.item_index; payload := task.payload;
        RETURN NEXT;
    END LOOP;
END $$;
-- How the steps of the last run ended, and why.
CREATE FUNCTION steps(OUT step text, OUT state text, OUT total int, OUT error text) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT s.step, s.state, s.total, (SELECT e.body -> 'error' ->> 'message' FROM workflow_events(r.run) e WHERE e.kind = 'step_finalized' AND e.body ->> 'step' = s.step)
    FROM (SELECT max(run_id) AS run FROM baton.run) r, workflow_steps(r.run) s
$$;

-- Templates: nested, in arrays, several at a time; what is no path stays.
SELECT payload FROM payloads('[{"name": "a", "payload": {"x": "$.input.x", "deep": {"er": [1, "$.input.list[1]", {"y": "$.input.x"}]}, "number": 1.50, "null": null, "true": true, "text": "a $.input.x", "dollar": "$", "dollars": "$$.x", "no path": "$x", "": "$.input.x", "0": "$.input.x", "-1": ["$.input.x"]}}]',
    '{"x": "the value", "list": [10, 20, 30]}');
-- The whole payload is one path, an array, a scalar, null; none is {}.
SELECT name, payload FROM payloads('[{"name": "path", "payload": "$.input.x"}, {"name": "array", "payload": ["$.input.x"]}, {"name": "text", "payload": "as it is"}, {"name": "number", "payload": 7}, {"name": "null", "payload": null}, {"name": "none"}, {"name": "all", "payload": "$.input"}]',
    '{"x": {"y": [1]}}');
-- One value, none: null, several: an array; an array is one value.
SELECT payload FROM payloads('[{"name": "a", "payload": {"one": "$.input.list[0]", "none": "$.input.nothing", "several": "$.input.list[*]", "array": "$.input.list", "filtered": "$.input.list[*] ? (@ > 1)", "one left": "$.input.list[*] ? (@ > 2)", "of no array": "$.input.x[*]", "nulls": "$.input.nulls[*]", "empty": "$.input.empty", "of empty": "$.input.empty[*]"}}]',
    '{"list": [1, 2, 3], "x": 5, "nulls": [null, null], "empty": []}');
-- A value that looks like a path is a value; keys that paths must quote; methods and arithmetic.
SELECT payload FROM payloads('[{"name": "a", "payload": {"looks": "$.input.path", "quoted": "$.input.\"a key\".\"$.x\"", "size": "$.input.list.size()", "sum": "$.input.list[0] + $.input.list[1]", "type": "$.input.list.type()", "double": "$.input.text.double()", "predicate": "$.input.list[0] == 1", "last": "$.input.list[last]"}}]',
    '{"path": "$.input.list", "a key": {"$.x": 1}, "list": [1, 2], "text": "1.5"}');
-- Numbers keep every digit, as values and as items.
SELECT payload FROM payloads('[{"name": "a", "payload": {"n": "$.input.n", "own": 12345678901234567890.123456789, "list": "$.input.list"}}, {"name": "b", "with_items": "$.input.list"}]',
    '{"n": 12345678901234567890.123456789, "list": [0.1000, 1e3, 98765432109876543210]}');
-- What a step left: its result, state and error; no result is null.
SELECT name, payload FROM payloads('[{"name": "a", "payload": {"v": 1}}, {"name": "b", "needs": ["a"], "payload": "$.steps.a"}, {"name": "c", "needs": ["b"], "payload": {"a": "$.steps.a.result.v", "b": "$.steps.b.result.state", "states": "$.steps.*.state", "input": "$.input"}}, {"name": "d", "needs": ["b"], "payload": ["$.steps.\"b\".state", "$.steps.b.error", "$.steps.b.nothing"]}]');
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "q", "needs": ["a"], "payload": {"result": "$.steps.a.result", "a": "$.steps.a"}}]}') \gset
SELECT f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT payload, f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;

-- with_items: an array, a path that yields several, one that yields a single value; the payload of an item is the item.
SELECT name, item, payload FROM payloads('[{"name": "array", "with_items": "$.input.list"}, {"name": "several", "with_items": "$.input.list[*].n"}, {"name": "single", "with_items": "$.input.x"}, {"name": "object", "with_items": "$.input.object"}, {"name": "null", "with_items": "$.input.null"},
    {"name": "arrays", "with_items": "$.input.arrays"}, {"name": "several arrays", "with_items": "$.input.arrays[*]"}]',
    '{"list": [{"n": 1}, {"n": 2}], "x": 5, "object": {"k": "v"}, "null": null, "arrays": [[1, 2], [3]]}');
SELECT * FROM steps();
-- Nothing, and []: completed at once, and so is what needs it.
SELECT name, item, payload FROM payloads('[{"name": "nothing", "with_items": "$.input.nothing"}, {"name": "empty", "with_items": "$.input.empty"}, {"name": "next", "needs": ["nothing", "empty"], "payload": ["$.steps.nothing.result", "$.steps.empty.state"]}, {"name": "again", "needs": ["nothing"], "with_items": "$.steps.nothing.result"}]', '{"empty": []}');
SELECT * FROM steps();
-- A template for items: the item, its index, the rest of the document, none of it.
SELECT name, item, payload FROM payloads('[{"name": "a", "payload": {"factor": 10}}, {"name": "b", "needs": ["a"], "with_items": "$.input.list", "payload": {"item": "$.item", "n": "$.item.n", "at": "$.item_index", "factor": "$.steps.a.result.factor", "both": "$.item.n * $.steps.a.result.factor", "of": "$.input.list.size()", "match": "$.input.list[*] ? (@.n == $.nothing)", "fixed": [1]}},
    {"name": "fixed", "with_items": "$.input.list", "payload": {"same": "$.input.same"}}, {"name": "index", "with_items": "$.input.list", "payload": "$.item_index"}, {"name": "none", "with_items": "$.input.list", "payload": "$.item.m"}]',
    '{"list": [{"n": 1}, {"n": 2, "m": "$.item.n"}], "same": "$.item"}');
-- A step whose name says item.
SELECT name, item, payload FROM payloads('[{"name": "item", "payload": {"item": 7}}, {"name": "b", "needs": ["item"], "with_items": "$.input", "payload": ["$.steps.item.result.item", "$.item", "$.input[0]"]}, {"name": "c", "needs": ["item"], "payload": "$.steps.item.result.item"}]', '[1, 2]');
-- More than 100,000 are too many.
SELECT name, payload FROM payloads('[{"name": "a", "with_items": "$.input[0 to last, 0 to last]"}, {"name": "b", "needs": ["a"], "when": "failed", "payload": "$.steps.a.error"}]', (SELECT jsonb_agg(true) FROM generate_series(1, 50001)));
SELECT * FROM steps();

-- Joined in item order, with null where an item failed without a result.
SELECT run_id AS run FROM workflow_start(definition => '{"on_error": "continue", "steps": [{"name": "a", "queue": "q", "with_items": "$.input"}, {"name": "b", "queue": "q", "needs": ["a"], "when": "done", "payload": "$.steps.a"}, {"name": "c", "queue": "q", "needs": ["a"], "when": "failed", "with_items": "$.steps.a.result[*] ? (@ != null)"}]}', input => '[0, 1, 2, 3, 4]') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT i.item_index, f.outcome FROM unnest(ARRAY[3, 1, 4, 0, 2]) WITH ORDINALITY AS o (item, ordinal) JOIN task_items(:run, 'a') i ON i.item_index = o.item JOIN baton.leases l USING (task_id),
    task_finalize(i.task_id, l.lease_token, CASE i.item_index WHEN 1 THEN 'failed' WHEN 4 THEN 'cancelled' ELSE 'completed' END, CASE WHEN i.item_index <> 1 THEN to_jsonb('r' || i.item_index) END) f ORDER BY i.item_index;
SELECT result FROM workflow_steps(:run) WHERE step = 'a';
SELECT name, item_index, payload, f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 10) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT state FROM workflow_get(:run);

-- What cannot be evaluated fails the step, never the call.
SELECT name, payload FROM payloads('[{"name": "missing", "with_items": "strict $.input.nothing"}, {"name": "no array", "with_items": "strict $.input.x[*]"}, {"name": "if", "if": "strict $.input.nothing"}, {"name": "zero", "payload": {"a": ["$.input.x / 0"]}}, {"name": "arithmetic", "payload": "$.input.text + 1"},
    {"name": "method", "payload": "$.input.object.double()"}, {"name": "item", "with_items": "$.input.list", "payload": "$.item / $.item"}, {"name": "fine", "payload": "$.input.x"},
    {"name": "alarm", "needs": ["zero"], "when": "failed", "payload": {"state": "$.steps.zero.state", "result": "$.steps.zero.result", "error": "$.steps.zero.error"}}, {"name": "never", "needs": ["zero"]}]', '{"x": 5, "text": "x", "object": {}, "list": [1, 0]}');
SELECT * FROM steps();

-- Dates and times are compared as in UTC, whatever the caller's time zone is.
SET TimeZone = 'Asia/Tokyo';
SELECT payload FROM payloads('[{"name": "a", "payload": {"dates": "$.input.d.datetime() < $.input.t.datetime()", "times": "$.input.u.datetime() == $.input.t.datetime()"}}]', '{"d": "2026-01-02", "t": "2026-01-01T23:00:00+00:00", "u": "2026-01-01T23:00:00"}');
SET TimeZone = 'America/New_York';
SELECT payload FROM payloads('[{"name": "a", "payload": {"dates": "$.input.d.datetime() < $.input.t.datetime()", "times": "$.input.u.datetime() == $.input.t.datetime()"}}]', '{"d": "2026-01-02", "t": "2026-01-01T23:00:00+00:00", "u": "2026-01-01T23:00:00"}');
RESET TimeZone;

-- A step's own priority, attempts and time to run; else the queue's.
SELECT queue_create('brief', lease_ttl => '1 h', max_attempts => 7, max_runtime => '30 min');
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "plain", "queue": "brief"}, {"name": "own", "queue": "brief", "priority": 5, "max_attempts": 2, "max_runtime": "10 min"}, {"name": "items", "queue": "brief", "priority": -3, "with_items": "$.input", "max_runtime": "1 min"}]}', input => '[1, 2]') \gset
SELECT name, item_index, priority, max_attempts FROM task_list(run_id => :run) ORDER BY task_id;
SELECT name, item_index, round(extract(epoch FROM lease_expires_at - clock_timestamp()) / 60) AS minutes FROM task_acquire_lease('brief', 'w', max_tasks => 10);
-- A heartbeat goes no further.
SELECT i.name, h.outcome FROM baton.leases i, task_heartbeat(i.task_id, i.lease_token, '2 h') h WHERE queue = 'brief' ORDER BY i.task_id;
-- Who overruns it has timed out, and is tried again as often as the step says.
SELECT workflow_cancel(:run, running => 'force');
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "own", "queue": "q", "max_attempts": 1, "max_runtime": "100 ms"}]}') \gset
SELECT lease_expires_at < clock_timestamp() + interval '150 ms' AS bounded FROM task_acquire_lease('q', 'w');
SELECT pg_sleep(0.15);
SELECT outcome FROM task_reap();
SELECT state, reason FROM task_list(run_id => :run);
SELECT state FROM workflow_get(:run);

-- Too large: the results of all items together, and a payload.
SELECT run_id AS run FROM workflow_start(definition => '{"on_error": "continue", "steps": [{"name": "a", "queue": "q", "with_items": "$.input"}, {"name": "b", "queue": "q", "needs": ["a"]}, {"name": "c", "queue": "q", "needs": ["a"], "when": "failed", "payload": "$.steps.a.error.message"}]}', input => '[1, 2, 3]') \gset
SET pg_baton.max_join_bytes = '2kB';
SELECT item_index, f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 3) l, task_finalize(l.task_id, l.lease_token, 'completed', to_jsonb(repeat('x', 1000))) f;
RESET pg_baton.max_join_bytes;
SELECT step, state, total, completed, failed FROM workflow_steps(:run);
SELECT kind, body #>> '{error,message}' AS message FROM workflow_events(:run) WHERE body ->> 'step' = 'a';
SELECT name, payload, f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 3) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT state FROM workflow_get(:run);
SET pg_baton.max_payload_bytes = '1kB';
SELECT name, item FROM payloads('[{"name": "a", "payload": ["$.input.x", "$.input.x", "$.input.x"]}, {"name": "b", "with_items": "$.input.list", "payload": ["$.item", "$.item", "$.item"]}, {"name": "c", "payload": "$.input.x"}]', jsonb_build_object('x', repeat('x', 400), 'list', jsonb_build_array('y', repeat('y', 400))));
RESET pg_baton.max_payload_bytes;
SELECT * FROM steps();

SELECT * FROM baton_check(true);
