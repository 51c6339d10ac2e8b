-- workflow_define: versions, and definitions that are refused whole.

-- A version per change; the same again is the same, whatever the order of its keys; an earlier one again is a new one.
SELECT workflow_define('w', '{"steps": [{"name": "a"}]}');
SELECT workflow_define('w', '{"steps": [{"name": "a"}]}');
SELECT workflow_define('w', '{"steps": [{"name": "a", "queue": "default"}], "on_error": "fail"}');
SELECT workflow_define('w', '{"on_error": "fail", "steps": [{"queue": "default", "name": "a"}]}');
SELECT workflow_define('w', '{"steps": [{"name": "a"}]}');
SELECT workflow_define('other', '{"steps": [{"name": "a"}]}');
SELECT name, version, definition FROM baton.workflow ORDER BY workflow_id;
-- All there is in one; the example of the contract.
SELECT workflow_define('all', '{"on_error": "continue", "max_parallel": 100000, "steps": [
    {"name": "first", "payload": null},
    {"name": "ö", "queue": "some queue", "needs": ["first"], "when": "done", "if": "exists($.input) && $.steps.first.state == \"completed\"", "with_items": "$.input.list[*] ? (@ > 1)",
     "payload": {"a": ["$.item", "$.item_index", "$.steps.first.result", "$x"]}, "max_parallel": 1, "checkpoint": "here", "priority": -9, "max_attempts": 10000, "max_runtime": "1 day 2 h", "slot_keys": [],
     "compensate": {"queue": "undo", "payload": {"x": "$.input"}}},
    {"name": "last", "needs": [], "when": "completed", "compensate": {}, "if": null, "needs": null, "priority": 9}]}');
SELECT workflow_define('etl', '{ "steps": [
    {"name": "fetch",         "queue": "io", "max_attempts": 3, "compensate": {"queue": "undo", "payload": {"what": "fetch"}}},
    {"name": "process_items", "queue": "cpu", "needs": ["fetch"], "with_items": "$.steps.fetch.result.items", "max_parallel": 3},
    {"name": "validate",      "queue": "cpu", "needs": ["process_items"], "checkpoint": "before_validate"},
    {"name": "alert",         "queue": "ops", "needs": ["process_items"], "when": "failed"} ],
  "on_error": "pause", "max_parallel": 10 }');
-- 1,000 steps in a row, written from the last to the first; names of 255 bytes.
SELECT workflow_define('long', jsonb_build_object('steps', jsonb_agg(jsonb_build_object('name', 's' || i, 'needs', CASE WHEN i = 1 THEN '[]' ELSE jsonb_build_array('s' || i - 1) END) ORDER BY i DESC))) FROM generate_series(1, 1000) i;
SELECT workflow_define(repeat('w', 255), jsonb_build_object('steps', jsonb_build_array(jsonb_build_object('name', repeat('é', 127) || 'x', 'queue', repeat('q', 255)))));

-- What is refused from here on leaves nothing behind.
SELECT count(*) AS stored FROM baton.workflow \gset
-- Arguments.
SELECT workflow_define(NULL, '{"steps": [{"name": "a"}]}');
SELECT workflow_define('bad', NULL);
SELECT workflow_define('', '{"steps": [{"name": "a"}]}');
SELECT workflow_define(repeat('w', 256), '{"steps": [{"name": "a"}]}');
-- The whole.
SELECT workflow_define('bad', '[]');
SELECT workflow_define('bad', '"steps"');
SELECT workflow_define('bad', 'null');
SELECT workflow_define('bad', '{}');
SELECT workflow_define('bad', '{"steps": []}');
SELECT workflow_define('bad', '{"steps": null}');
SELECT workflow_define('bad', '{"steps": {"name": "a"}}');
SELECT workflow_define('bad', '{"steps": [{"name": "a"}], "onerror": "fail"}');
SELECT workflow_define('bad', '{"steps": [{"name": "a"}], "on_error": "stop"}');
SELECT workflow_define('bad', '{"steps": [{"name": "a"}], "on_error": true}');
SELECT workflow_define('bad', '{"steps": [{"name": "a"}], "max_parallel": 0}');
SELECT workflow_define('bad', '{"steps": [{"name": "a"}], "max_parallel": 100001}');
SELECT workflow_define('bad', '{"steps": [{"name": "a"}], "max_parallel": 1.5}');
SELECT workflow_define('bad', '{"steps": [{"name": "a"}], "max_parallel": "3"}');
SELECT workflow_define('bad', jsonb_build_object('steps', jsonb_agg(jsonb_build_object('name', 's' || i)))) FROM generate_series(1, 1001) i;
SELECT workflow_define('bad', jsonb_build_object('steps', jsonb_build_array(jsonb_build_object('name', 'a', 'payload', repeat('x', 5000000)))));
-- A step.
CREATE FUNCTION define(step jsonb) RETURNS int LANGUAGE sql AS $$ SELECT workflow_define('bad', jsonb_build_object('steps', jsonb '[{"name": "a"}, {"name": "b", "needs": ["a"]}, {"name": "apart"}]' || jsonb_build_array(step))) $$;
SELECT define('"c"');
SELECT define('["c"]');
SELECT define('{}');
SELECT define('{"name": null}');
SELECT define('{"name": 5}');
SELECT define('{"name": ""}');
SELECT define(jsonb_build_object('name', repeat('n', 256)));
SELECT define('{"name": "a"}');
SELECT define('{"name": "c", "nees": ["a"]}');
SELECT define('{"name": "c", "max_parallell": 3, "with_items": "$.input"}');
SELECT define('{"name": "c", "queue": ""}');
SELECT define('{"name": "c", "queue": ["q"]}');
SELECT define('{"name": "c", "needs": "a"}');
SELECT define('{"name": "c", "needs": ["a", "x"]}');
SELECT define('{"name": "c", "needs": ["a", "b", "a"]}');
SELECT define('{"name": "c", "needs": ["c"]}');
SELECT define('{"name": "c", "needs": [5]}');
SELECT define('{"name": "c", "needs": ["a"], "when": "always"}');
SELECT define('{"name": "c", "needs": ["a"], "when": ["done"]}');
SELECT define('{"name": "c", "when": "failed"}');
SELECT define('{"name": "c", "if": true}');
SELECT define('{"name": "c", "if": "$.input ="}');
SELECT define('{"name": "c", "with_items": ["$.input"]}');
SELECT define('{"name": "c", "if": "$.input.**.a.** == 1"}');
SELECT define('{"name": "c", "with_items": "input"}');
SELECT define('{"name": "c", "payload": {"a": [{"b": "$.input["}]}}');
SELECT define('{"name": "c", "payload": "$."}');
SELECT define('{"name": "c", "max_parallel": 3}');
SELECT define('{"name": "c", "with_items": "$.input", "max_parallel": 0}');
SELECT define('{"name": "c", "with_items": "$.input", "max_parallel": 100001}');
SELECT define('{"name": "c", "with_items": "$.input", "max_parallel": "all"}');
SELECT define('{"name": "c", "checkpoint": "on_error"}');
SELECT define('{"name": "c", "checkpoint": ""}');
SELECT define('{"name": "c", "checkpoint": true}');
SELECT define('{"name": "c", "priority": 10}');
SELECT define('{"name": "c", "priority": -10}');
SELECT define('{"name": "c", "priority": 0.5}');
SELECT define('{"name": "c", "max_attempts": 0}');
SELECT define('{"name": "c", "max_attempts": 10001}');
SELECT define('{"name": "c", "max_attempts": 99999999999}');
SELECT define('{"name": "c", "max_runtime": 60}');
SELECT define('{"name": "c", "max_runtime": "soon"}');
SELECT define('{"name": "c", "max_runtime": "-1 h"}');
SELECT define('{"name": "c", "max_runtime": "0"}');
SELECT define('{"name": "c", "max_runtime": "1000 years"}');
SELECT define('{"name": "c", "slot_keys": "k"}');
SELECT define('{"name": "c", "slot_keys": ["k", "k"]}');
SELECT define('{"name": "c", "slot_keys": [""]}');
SELECT define('{"name": "c", "slot_keys": ["1", "2", "3", "4", "5", "6", "7", "8", "9"]}');
SELECT define('{"name": "c", "slot_keys": ["no such key"]}');
SELECT define('{"name": "c", "compensate": "undo"}');
SELECT define('{"name": "c", "compensate": {"queue": "undo", "what": 1}}');
SELECT define('{"name": "c", "compensate": {"queue": 1}}');
SELECT define('{"name": "c", "compensate": {"queue": ""}}');
SELECT define('{"name": "c", "compensate": {"payload": {"x": "$.steps["}}}');
-- Circles.
SELECT workflow_define('bad', '{"steps": [{"name": "a", "needs": ["b"]}, {"name": "b", "needs": ["a"]}]}');
SELECT workflow_define('bad', '{"steps": [{"name": "x"}, {"name": "tail", "needs": ["c", "x"]}, {"name": "a", "needs": ["x", "c"]}, {"name": "b", "needs": ["a"]}, {"name": "c", "needs": ["b"]}]}');
SELECT workflow_define('bad', jsonb_build_object('steps', jsonb_agg(jsonb_build_object('name', 's' || i, 'needs', jsonb_build_array('s' || i % 100 + 1)) ORDER BY i))) FROM generate_series(1, 100) i;
-- Paths to what the step does not need, however they are spelled; to what is no step; to an item where there is none.
SELECT define('{"name": "c", "needs": ["b"], "payload": {"x": "$.steps.apart.result"}}');
SELECT define('{"name": "c", "needs": ["b"], "payload": "$.steps.\"apart\".result"}');
SELECT define('{"name": "c", "needs": ["b"], "if": "$.input.x == $ . steps . apart . result"}');
SELECT define('{"name": "c", "needs": ["b"], "with_items": "$.input[*] ? (@ == $.steps.apart.result)"}');
SELECT define('{"name": "c", "payload": "$.steps.a.result"}');
SELECT define('{"name": "c", "needs": ["b"], "payload": "$.steps.c.result"}');
SELECT define('{"name": "c", "needs": ["b"], "payload": "$.steps.nobody.result"}');
SELECT define('{"name": "c", "needs": ["b"], "payload": "$.item"}');
SELECT define('{"name": "c", "needs": ["b"], "payload": ["$.item_index"]}');
SELECT define('{"name": "c", "needs": ["b"], "with_items": "$.item"}');
SELECT define('{"name": "c", "needs": ["b"], "with_items": "$.input", "if": "$.item == 1"}');
-- What undoes a step reads what the step may, the step itself, and the task whose work it undoes.
SELECT define('{"name": "c", "needs": ["b"], "compensate": {"payload": "$.steps.apart.result"}}');
SELECT define('{"name": "c", "needs": ["b"], "compensate": {"payload": {"x": ["$.steps.nobody.state"]}}}');
SELECT define('{"name": "c", "needs": ["b"], "with_items": "$.input", "compensate": {"payload": "$.item"}}');
-- What a message shows of a long value.
SELECT define(jsonb_build_object('name', 'c', 'when', repeat('x', 1000)));
-- Nothing was stored.
SELECT count(*) - :stored AS stored FROM baton.workflow;
SELECT workflow_start('bad');

-- What is needed through others may be read; strings and keys that only look like steps are none.
SELECT workflow_define('fine', '{"steps": [{"name": "a"}, {"name": "b", "needs": ["a"]}, {"name": "c", "needs": ["b"], "payload": {"far": "$.steps.a.result", "all": "$.steps.*.state", "look": "$.input.steps.nobody", "text": "$.input.x ? (@ == \"$.steps.nobody\")", "no path": "$ .steps.nobody"}}]}');
SELECT workflow_define('undone', '{"steps": [{"name": "a"}, {"name": "b", "needs": ["a"], "compensate": {}}, {"name": "c", "needs": ["b"], "compensate": {"queue": "nowhere yet", "payload": {"far": "$.steps.a.result", "itself": "$.steps.c.state", "all": "$.steps.*.state", "task": "$.task.result", "input": "$.input"}}}]}');
-- Slot keys that are there.
SELECT slot_set(key, 1) FROM unnest(ARRAY['gpu', 'licence']) key;
SELECT workflow_define('bounded', '{"steps": [{"name": "a", "slot_keys": ["gpu", "licence"]}, {"name": "b", "slot_keys": []}]}');
SELECT workflow_define('bounded', '{"steps": [{"name": "a", "slot_keys": ["gpu"]}, {"name": "b", "slot_keys": ["gpu", "no such key"]}]}');
SELECT DISTINCT ON (name) name, version, definition #> '{steps,0,slot_keys}' AS slot_keys FROM baton.workflow WHERE name IN ('undone', 'bounded') ORDER BY name, version DESC;

SELECT * FROM baton_check(true);
