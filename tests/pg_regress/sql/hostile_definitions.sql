-- Definitions, paths and inputs that are made to grow, to loop, to hang or to be misread: refused where they are defined, or
-- their step ends failed and says why; never an error in somebody else's call, and nothing that takes long.

SELECT queue_create('q', lease_ttl => '1 h');
CREATE FUNCTION defined(definition jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; begun timestamptz := clock_timestamp();
BEGIN
    RETURN 'version ' || (workflow_define('probe', definition) > 0);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || left(SQLERRM, 150) || CASE WHEN clock_timestamp() - begun > '20 s' THEN ' (after a long time)' ELSE '' END;
END $$;
CREATE FUNCTION step(s jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('steps', jsonb_build_array('{"name": "s", "queue": "q"}'::jsonb || s)) $$;
\pset format unaligned

-- Too many steps, needs, names; a circle, a long circle, a step that needs itself or nobody.
SELECT defined(jsonb_build_object('steps', (SELECT jsonb_agg(jsonb_build_object('name', 's' || n)) FROM generate_series(1, 30000) n)));
SELECT defined(jsonb_build_object('steps', (SELECT jsonb_agg(jsonb_build_object('name', 's' || n, 'needs', (SELECT jsonb_agg('s' || m) FROM generate_series(1, 1001) m))) FROM generate_series(1, 1) n)));
SELECT defined(jsonb_build_object('steps', (SELECT jsonb_agg(jsonb_build_object('name', 's' || n, 'needs', jsonb_build_array('s' || n % 1000 + 1))) FROM generate_series(1, 1000) n)));
SELECT defined(step('{"needs": ["s"]}'));
SELECT defined(step('{"needs": ["t"]}'));
SELECT defined(step('{"needs": "s"}'));
SELECT defined(step('{"needs": [["s"]]}'));
SELECT defined(step('{"needs": [null]}'));
SELECT defined('{"steps": [{"name": "a"}, {"name": "A"}, {"name": "a"}]}');
-- 1,000 steps that all need all before them: half a million edges.
SELECT defined(jsonb_build_object('steps', (SELECT jsonb_agg(jsonb_build_object('name', 's' || n, 'queue', 'q', 'needs', (SELECT coalesce(jsonb_agg('s' || m), '[]') FROM generate_series(1, n - 1) m))) FROM generate_series(1, 1000) n)));
-- Shapes that are none.
SELECT v, defined(v) FROM unnest(ARRAY['null', '1', '"x"', '[]', '{}', '{"steps": null}', '{"steps": {}}', '{"steps": [null]}', '{"steps": [[]]}', '{"steps": [{}]}', '{"steps": [{"name": null}]}', '{"steps": [{"name": 1}]}', '{"steps": [{"name": ""}]}', '{"steps": [{"name": "a"}], "Steps": []}',
    '{"steps": [{"name": "a"}], "on_error": "FAIL"}', '{"steps": [{"name": "a"}], "max_parallel": 1.5}', '{"steps": [{"name": "a"}], "max_parallel": 1e100}', '{"steps": [{"name": "a"}], "max_parallel": "1"}', '{"steps": [{"name": "a"}], "__proto__": {}}']::jsonb[]) v;
-- Values of a step that are none.
SELECT v, defined(step(v)) FROM unnest(ARRAY['{"queue": 1}', '{"queue": ""}', '{"when": "always"}', '{"when": "failed"}', '{"if": 1}', '{"if": ""}', '{"with_items": []}', '{"max_parallel": 1}', '{"with_items": "$.input", "max_parallel": 0}', '{"checkpoint": "on_error"}', '{"checkpoint": ""}', '{"priority": 1e9}', '{"priority": -10}', '{"priority": 0.5}',
    '{"max_attempts": 0}', '{"max_attempts": 99999999999999999999}', '{"max_runtime": 5}', '{"max_runtime": "soon"}', '{"max_runtime": "-1 s"}', '{"max_runtime": "178000000 years"}', '{"max_runtime": "99999999999999999999 s"}', '{"max_runtime": "1 s''; DROP TABLE baton.task; --"}', '{"slot_keys": "k"}', '{"slot_keys": ["k"]}', '{"slot_keys": [1, 2, 3, 4, 5, 6, 7, 8, 9]}',
    '{"compensate": 1}', '{"compensate": {"queue": 1}}', '{"compensate": {"payload": "$.task.."}}', '{"unknown": 1}', '{"": 1}']::jsonb[]) v;
-- Numbers that are short as JSON and long as text: refused before they are written out.
SELECT defined(step(jsonb_build_object('payload', ('[' || repeat('1e131071,', 5000) || '1]')::jsonb)));
SELECT defined(step(jsonb_build_object('payload', ('[' || repeat('1e-16383,', 5000) || '1]')::jsonb)));
SELECT left(defined(step(jsonb_build_object('payload', ('[' || repeat('1e307,', 10000) || '1]')::jsonb))), 30);

-- Paths that are none, or read what is not there.
SELECT p, defined(step(jsonb_build_object('if', p))) FROM unnest(ARRAY['$.', '$', '', ' ', '$.input ? (', '$.input.**.**', '$.**{0 to last}.**{2}', 'strict $.input.a', 'lax $.input', '$.steps.nobody.result', '$.steps[*]', '$.steps.*', '$.steps."s".result', '$.input.a[last]', '$x', '$"x"', '$.item', '$."it" + "em"', '@', '1; DROP TABLE baton.task', '$.input like_regex "("', '$.input like_regex "a" flag "z"', '$.input.datetime("")']) p;
SELECT left(p, 12) AS p, length(p), left(defined(step(jsonb_build_object('if', p))), 50) FROM unnest(ARRAY[repeat('(', 5000) || '1' || repeat(')', 5000), '$' || repeat('.a', 10000), '$.input' || repeat(' + 1', 10000), '$.input ' || repeat('? (@ > 0)', 3000), '$.input[' || repeat('0,', 10000) || '0]']) p;
-- Paths that are right, and come to nothing, to too much, or to an end that is long in coming: their step ends failed (or is skipped), within a bound.
CREATE FUNCTION ran(s jsonb, input jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r bigint; said text; begun timestamptz := clock_timestamp();
BEGIN
    SELECT run_id INTO r FROM workflow_start(definition => step(s), input => input);
    SELECT concat_ws(' ', g.state, (SELECT left(string_agg(st.error ->> 'message', ''), 120) FROM baton.step st WHERE st.run_id = r), CASE WHEN clock_timestamp() - begun > '20 s' THEN '(after a long time)' END) INTO said FROM workflow_get(r) g;
    PERFORM workflow_cancel(r);
    RETURN said;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || left(SQLERRM, 100);
END $$;
SET statement_timeout = '60 s';
SELECT s, left(i::text, 40) AS input, ran(s, i) FROM (VALUES
    ('{"if": "$.input / 0 > 1"}'::jsonb, '1'::jsonb), ('{"if": "$.input"}', '1'), ('{"if": "$.input > 0"}', '"a"'), ('{"if": "strict $.input.a.b == 1"}', '{}'), ('{"if": "$.input.datetime() > \"2020-01-01\".datetime()"}', '"2020-13-45"'), ('{"if": "$.input.double() > 1"}', '"x"'),
    ('{"with_items": "$.input[*]"}', '[]'), ('{"with_items": "$.input.nothing"}', '{}'), ('{"with_items": "$.input"}', '7'), ('{"with_items": "strict $.input[5]"}', '[1]'), ('{"with_items": "$.input[9999999999]"}', '[1]'),
    ('{"with_items": "$.input[*] ? (@ / 0 > 1)"}', '[1]'), ('{"with_items": "$.input[0 to 2147483647]"}', '[1, 2]'), ('{"with_items": "$.input[-1]"}', '[1]'), ('{"payload": "$.input.**"}', (repeat('[', 1000) || repeat(']', 1000))::jsonb), ('{"payload": {"a": "$.input.a", "b": {"c": ["$.input.b"]}}}', '{"a": "$.input.b", "b": "$.steps"}'),
    ('{"if": "$.input * $.input > 1"}', repeat('9', 60000)::jsonb), ('{"if": "$.input * $.input > 1"}', '1e131071'), ('{"payload": {"n": "$.input % 0"}}', '1'), ('{"payload": {"n": "-$.input"}}', '"x"'), ('{"payload": "$.input.keyvalue()"}', '{"a": 1}'), ('{"payload": "$.input.size()"}', '[1, 2]'),
    ('{"if": "$.input like_regex \"^(a+)+$\""}', to_jsonb(repeat('a', 200) || 'b')), ('{"if": "$.input like_regex \"(x+x+)+y\""}', to_jsonb(repeat('x', 5000))), ('{"if": "$.input like_regex \"(a{1,100}){1,100}\""}', '"aaa"')) t (s, i);
-- Items beyond the bound, payloads beyond theirs, templates that multiply.
SELECT left(s::text, 60) AS step, length(i::text) AS input, ran(s, i) FROM (VALUES
    ('{"with_items": "$.input[*]"}'::jsonb, (SELECT jsonb_agg(1) FROM generate_series(1, 16000))), ('{"with_items": "$.input.a[*] ? (exists ($.input.b[*]))"}', (SELECT jsonb_build_object('a', jsonb_agg(1), 'b', jsonb_agg(2)) FROM generate_series(1, 1000))),
    ('{"with_items": "$.input.**"}', (SELECT jsonb_agg(jsonb_build_array(n, jsonb_build_array(n))) FROM generate_series(1, 3000) n)), ('{"payload": {"a": "$.input", "b": "$.input", "c": "$.input"}}', to_jsonb(repeat('x', 100000))),
    ('{"with_items": "$.input[*]", "payload": {"all": "$.input"}}', (SELECT jsonb_agg(n) FROM generate_series(1, 15000) n)), (jsonb_build_object('payload', (SELECT jsonb_object_agg('k' || n, '$.input') FROM generate_series(1, 1000) n)), to_jsonb(repeat('x', 1000))),
    (jsonb_build_object('payload', (SELECT jsonb_object_agg('k' || n, '$.input') FROM generate_series(1, 1001) n)), '1')) t (s, i);
SET pg_baton.max_payload_bytes = '64MB';
SELECT ran('{"with_items": "$.input[*]"}', (SELECT jsonb_agg(1) FROM generate_series(1, 100001)));
SELECT ran('{"with_items": "$.input[*]", "payload": {"all": "$.input"}}', (SELECT jsonb_agg(1) FROM generate_series(1, 100000)));
RESET pg_baton.max_payload_bytes;
RESET statement_timeout;
-- A cancelled evaluation leaves nothing behind.
SET statement_timeout = '50 ms';
\set VERBOSITY sqlstate
SELECT * FROM workflow_start(key => 'cancelled', definition => step('{"with_items": "$.input.a[*] ? (exists ($.input.b[*] ? (@ == -1)))"}'), input => (SELECT jsonb_build_object('a', jsonb_agg(1), 'b', jsonb_agg(2)) FROM generate_series(1, 6000)));
\set VERBOSITY verbose
RESET statement_timeout;
SELECT count(*) FROM baton.run WHERE key = 'cancelled';

-- What is data stays data: an input or a result that looks like a path, like a template, like SQL, is passed on as it is.
SELECT run_id AS r FROM workflow_start(input => '{"p": "$.input.secret", "secret": 1, "items": ["$.item", "$.steps", "'');--"]}', definition => '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input.items", "payload": {"it": "$.item", "p": "$.input.p", "plain": "$input", "price": "$5.00"}}, {"name": "b", "queue": "q", "needs": ["a"], "payload": "$.steps.a.result"}]}') \gset
SELECT l.payload, f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed', l.payload -> 'it') f ORDER BY l.item_index;
SELECT payload FROM task_acquire_lease('q', 'w');
-- Graphs with names that are meant for who draws them.
SELECT run_id AS r FROM workflow_start(definition => jsonb_build_object('steps', jsonb_build_array(
    jsonb_build_object('name', 'end', 'queue', 'q'), jsonb_build_object('name', E'a"]\n  x --> y\nclick x "javascript:alert(1)"', 'queue', 'q', 'needs', '["end"]'::jsonb), jsonb_build_object('name', '<script>alert(1)</script> %%{init}%% ``` ;', 'queue', 'q', 'needs', '["end"]'::jsonb)))) \gset
SELECT replace(workflow_mermaid(:r), :'r', '…');
SELECT * FROM baton_check(true);
