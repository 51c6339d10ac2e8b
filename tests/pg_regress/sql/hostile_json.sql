-- Deep, wide, huge and strange JSON in every jsonb argument of every function: it is stored as the server reads it, or not at all.

SELECT queue_create('q', lease_ttl => '1 h');
SELECT workflow_define('flow', '{"steps": [{"name": "s", "queue": "q"}]}');
SELECT task_id AS held, outcome FROM task_create('q', name => 'held') \gset
SELECT lease_token AS token FROM task_acquire_lease('q', 'w') \gset
SELECT task_id AS ended FROM task_create('q', name => 'ended') \gset
SELECT outcome FROM task_cancel(:ended);
SELECT run_id AS run FROM workflow_start('flow') \gset
SELECT task_id AS item, run_id AS group FROM task_create_items('q', 'g', '{1}') \gset
SELECT outcome FROM task_cancel(:item);

-- A call of each function for each of its jsonb arguments, $1 being the value, and where the value stands then.
CREATE TABLE calls (function text, argument text, statement text, stands text);
INSERT INTO calls VALUES
    ('task_create', 'payload', 'SELECT outcome FROM task_create(''q'', $1)', 'task.payload'),
    ('task_create', 'metadata', 'SELECT outcome FROM task_create(''q'', metadata => $1)', 'task.metadata'),
    ('task_create_many', 'payloads', 'SELECT outcome FROM task_create_many(''q'', ARRAY[$1])', 'task.payload'),
    ('task_create_items', 'payloads', 'SELECT outcome FROM task_create_items(''q'', ''n'', ARRAY[$1])', 'task.payload'),
    ('task_create_items', 'successor_payload', 'SELECT outcome FROM task_create_items(''q'', ''n'', ARRAY[''1'']::jsonb[], successor => ''s'', successor_payload => $1)', 'step.successor_payload'),
    ('task_append_event', 'body', format('SELECT outcome FROM task_append_event(%s, ''note'', $1)', :held), 'event.body'),
    ('task_append_events', 'bodies', format('SELECT outcome FROM task_append_events(%s, ''{note}'', ARRAY[$1])', :held), 'event.body'),
    ('task_finalize', 'result', format('SELECT outcome FROM task_finalize(%s, %s, ''completed'', result => $1)', :held, :token), 'task_done.result'),
    ('task_finalize', 'error', format('SELECT outcome FROM task_finalize(%s, %s, ''failed'', error => $1)', :held, :token), 'task_done.error'),
    ('task_finalize_many', 'results', format('SELECT outcome FROM task_finalize_many(''{%s}'', ''{%s}'', ''{completed}'', results => ARRAY[$1])', :held, :token), 'task_done.result'),
    ('task_finalize_many', 'errors', format('SELECT outcome FROM task_finalize_many(''{%s}'', ''{%s}'', ''{failed}'', errors => ARRAY[$1])', :held, :token), 'task_done.error'),
    ('task_fail_attempt', 'error', format('SELECT outcome FROM task_fail_attempt(%s, %s, $1)', :held, :token), 'event.body'),
    ('task_dispatch_successor', 'payload', format('SELECT outcome FROM task_dispatch_successor(%s, ''s'', ''q'', $1)', :ended), 'task.payload'),
    ('task_register_compensation', 'payload', format('SELECT outcome FROM task_register_compensation(%s, %s, ''undo'', ''q'', $1)', :held, :token), 'compensation.payload'),
    ('task_annotate', 'metadata', format('SELECT outcome FROM task_annotate(%s, $1)', :held), 'task.metadata'),
    ('workflow_define', 'definition', 'SELECT workflow_define(''x'', jsonb_build_object(''steps'', jsonb_build_array(jsonb_build_object(''name'', ''s'', ''payload'', $1))))::text', 'workflow.definition'),
    ('workflow_start', 'definition', 'SELECT outcome FROM workflow_start(definition => jsonb_build_object(''steps'', jsonb_build_array(jsonb_build_object(''name'', ''s'', ''payload'', $1))))', 'workflow.definition'),
    ('workflow_start', 'input', 'SELECT outcome FROM workflow_start(''flow'', $1)', 'run.input'),
    ('workflow_start', 'metadata', 'SELECT outcome FROM workflow_start(''flow'', metadata => $1)', 'run.metadata'),
    ('workflow_pause', 'detail', format('SELECT workflow_pause(%s, ''here'', $1)', :run), 'run.checkpoint_detail'),
    ('workflow_finalize', 'result', format('SELECT workflow_finalize(%s, ''failed'', $1)', :group), 'run.result'),
    ('workflow_annotate', 'metadata', format('SELECT workflow_annotate(%s, $1)', :run), 'run.metadata'),
    ('workflow_append_event', 'body', format('SELECT outcome FROM workflow_append_event(%s, ''note'', $1)', :run), 'event.body');
-- None is forgotten.
SELECT p.proname, a.name FROM pg_proc p, unnest(p.proargnames, p.proargtypes::oid[]) WITH ORDINALITY a (name, t, n)
WHERE p.pronamespace = 'public'::regnamespace AND p.probin = 'pg_baton' AND a.n <= p.pronargs AND a.t IN ('jsonb'::regtype, 'jsonb[]'::regtype) AND (p.proname, a.name) NOT IN (SELECT function, argument FROM calls) ORDER BY 1, 2;

-- One call, undone again: what it answered, and whether the value, read as text, stands in the table as it was sent.
CREATE FUNCTION tried(c calls, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v jsonb; said text; there boolean;
BEGIN
    v := CASE c.argument WHEN 'metadata' THEN '{"v": ' || value || '}' ELSE value END;
    BEGIN
        EXECUTE c.statement INTO said USING v;
        EXECUTE format('SELECT bool_or(x::text LIKE ''%%'' || $1 || ''%%'') FROM (SELECT %I AS x FROM baton.%I) t', split_part(c.stands, '.', 2), split_part(c.stands, '.', 1)) INTO there USING replace(v::text, '\', '\\');
        RAISE SQLSTATE 'ZZ000';
    EXCEPTION WHEN SQLSTATE 'ZZ000' THEN RETURN CASE WHEN there THEN 'stored' ELSE said || ', not stored' END;
    WHEN OTHERS THEN RETURN SQLSTATE || ' ' || left(SQLERRM, 90);
    END;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || left(SQLERRM, 90);
END $$;

-- Depth. (How deep the server itself reads depends on its stack.)
SELECT kind, depth, CASE WHEN depth < 10000 OR answer !~ '^(stored|54001)' THEN answer ELSE 'stored, or 54001' END AS answer, count(*), string_agg(DISTINCT function, ' ' ORDER BY function) FILTER (WHERE answer !~ '^(stored|54001)') AS others
FROM (SELECT kind, depth, function, tried(c, CASE kind WHEN 'arrays' THEN repeat('[', depth) || repeat(']', depth) ELSE repeat('{"a": ', depth) || '1' || repeat('}', depth) END) AS answer
      FROM calls c, unnest('{arrays,objects}'::text[]) kind, unnest('{100,1000,10000,100000}'::int[]) depth) t GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
-- Values that the server does not read.
SELECT value, answer, count(*) FROM (SELECT left(value, 20) AS value, tried(c, value) AS answer FROM calls c, unnest(ARRAY['"\u0000"', '"\ud800"', '"\udc00\ud800"', '"\u12"', '1e100000000', '1e131072', 'NaN', 'Infinity', '0x10', '01', '[1,]', '{"a" 1}', '{a: 1}', '''x''', '', '"' || chr(1) || '"', '[1] 2']) value) t
GROUP BY 1, 2 ORDER BY 1, 2;
-- Values that it reads: stored by each as they are, but for a definition, which is read here as well.
SELECT left(value, 30) AS value, answer, count(*), CASE WHEN count(*) < 10 THEN string_agg(function, ' ' ORDER BY function) END AS by
FROM (SELECT value, function, tried(c, value) AS answer FROM calls c, unnest(ARRAY['-0', '-0.0', '0e10', '1e20', '1.10', '1E-5', repeat('9', 1000), '-0.' || repeat('3', 1000), '1e308', '1e309', '1e131071', '1e-16383', '{"a": 1, "a": 2}', '{"": ""}', '{"__proto__": {"a": [null]}}', '"\ud83d\ude80\u202e\ufffe"',
    '"\\u0000"', 'true', 'null', '[]', '{}', '"$.input"', '"$.steps.s.result"', '["$."]', '"$"', '" $.input"', '{"$.input": "x"}', to_json(repeat('\"', 1000))::text]) value) t
GROUP BY t.value, answer ORDER BY t.value COLLATE "C", answer;

-- The limit, to the byte, of each; of a definition it is another (errors_limits).
SET pg_baton.max_payload_bytes = '1kB';
CREATE FUNCTION of_bytes(n int, object boolean) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN object THEN '"' || repeat('x', n - 4 - pg_column_size('{"v": ""}'::jsonb) + 8) || '"' ELSE '"' || repeat('x', n - 8) || '"' END $$;
SELECT bytes, regexp_replace(answer, '"[a-z_]*(\[1\])?"', '"…"') AS answer, count(*) FROM (SELECT bytes, tried(c, of_bytes(bytes, argument = 'metadata')) AS answer FROM calls c, unnest('{1023,1024,1025}'::int[]) bytes WHERE argument <> 'definition') t GROUP BY 1, 2 ORDER BY 1, 2;
SELECT pg_column_size(to_jsonb(repeat('x', 1024 - 8))) - 4 AS bytes, pg_column_size(jsonb_build_object('v', repeat('x', 1024 - 4 - 9))) - 4 AS bytes_of_metadata;
RESET pg_baton.max_payload_bytes;

-- From a table: compressed, out of line, in few bytes; as many as are allowed, and one more.
CREATE TABLE kept (id int, plain jsonb, external jsonb, compressed jsonb);
ALTER TABLE kept ALTER plain SET STORAGE MAIN, ALTER external SET STORAGE EXTERNAL;
INSERT INTO kept SELECT n, '1', v, v FROM (VALUES (1, to_jsonb(repeat('x', 256 * 1024 - 8))), (2, to_jsonb(repeat('x', 256 * 1024 - 7)))) t (n, v);
INSERT INTO kept VALUES (3, '{"a": "short"}', '"short"', '[]');
SELECT pg_column_size(external) >= 262144 AS whole, pg_column_size(compressed) < 10000 AS compressed FROM kept WHERE id = 1;
SELECT id, c.outcome, d.outcome, e.outcome FROM kept, task_create('q', external, key => 'e' || id, metadata => '{}') c, task_create('q', compressed, key => 'c' || id) d, task_create_many('q', ARRAY[external, compressed, plain]) e WHERE id IN (1, 3) ORDER BY 1, e.ordinal;
SELECT outcome FROM kept, task_create('q', plain, key => 'm', metadata => plain) WHERE id = 3;
SELECT outcome FROM kept, task_create('q', external) WHERE id = 2;
SELECT outcome FROM kept, task_create('q', compressed) WHERE id = 2;
SELECT * FROM kept, task_create_many('q', ARRAY[plain, compressed]) WHERE id = 2;
SELECT id, c.outcome, d.outcome FROM kept, task_create('q', compressed, key => 'e' || id) c, task_create('q', external, key => 'c' || id) d WHERE id IN (1, 3) ORDER BY 1;
SELECT k.id, t.payload = k.external AS same, pg_column_size(t.payload) < 10000 AS compressed FROM kept k, baton.task t WHERE t.key = 'e' || k.id ORDER BY 1;
SELECT id, e.outcome, f.outcome, again.outcome AS again FROM kept, LATERAL (SELECT task_id FROM task_create('q', key => 'f' || id)) t, task_acquire_lease_by_id(t.task_id, 'w') l, task_append_event(t.task_id, 'note', external, l.lease_token) e,
    task_finalize(t.task_id, CASE WHEN e.outcome IS NOT NULL THEN l.lease_token END, 'completed', compressed, external) f, task_finalize(t.task_id, CASE WHEN f.outcome IS NOT NULL THEN l.lease_token END, 'completed', external, compressed) again WHERE id IN (1, 3) ORDER BY 1;
SELECT outcome FROM kept, workflow_start('flow', compressed, 'k') WHERE id = 1;
SELECT outcome FROM kept, workflow_start('flow', external, 'k') WHERE id = 1;

-- Far over the limit: refused before anything is done with them. Many keys, many numbers, 250 MB, and what the server itself refuses.
SELECT tried(c, '{' || (SELECT string_agg('"' || n || '":1', ',') FROM generate_series(1, 100000) n) || '}') AS keys FROM calls c WHERE function = 'task_create' AND argument = 'payload';
SELECT tried(c, '{"a": 1' || repeat(',"a": 1', 300000) || '}') AS same_keys FROM calls c WHERE function = 'task_create' AND argument = 'payload';
SELECT tried(c, '[1' || repeat(',1', 300000) || ']') AS numbers FROM calls c WHERE function = 'task_append_event';
SELECT * FROM task_finalize(:held, :token, 'completed', to_jsonb(repeat(repeat('x', 1000), 250000)));
SELECT * FROM task_finalize(:held, :token, 'completed', to_jsonb(repeat(repeat('x', 1000), 300000)));
SELECT * FROM task_create('q', key => repeat(repeat('x', 1000), 300000));
SELECT tried(c, '"' || repeat(repeat('x', 1000), 5000) || '"') AS definition FROM calls c WHERE function = 'workflow_define';
SELECT outcome FROM task_annotate(:held, (SELECT jsonb_object_agg(n, 1) FROM generate_series(1, 10000) n));
SELECT outcome FROM task_annotate(:held, (SELECT jsonb_object_agg(n, 1) FROM generate_series(10000, 100000) n));
-- At the setting's own bounds.
\set VERBOSITY sqlstate
SET pg_baton.max_payload_bytes = '1GB';
SET pg_baton.max_payload_bytes = 0;
SET pg_baton.max_payload_bytes = -1;
\set VERBOSITY verbose
SET pg_baton.max_payload_bytes = '64MB';
SELECT outcome FROM task_create('q', to_jsonb(repeat('12345678', 8 * 1024 * 1024 - 1)), key => 'large');
SELECT outcome FROM task_create('q', to_jsonb(repeat('12345678', 8 * 1024 * 1024 - 1) || '9'));
SELECT length(payload ->> 0) FROM task_get_by_key('q', 'large');
RESET pg_baton.max_payload_bytes;

-- What was sent is used as it is: depth and numbers through a run, its paths and joins.
SELECT workflow_define('deep', '{"steps": [{"name": "a", "queue": "d", "with_items": "$.input.*", "payload": {"it": "$.item"}}, {"name": "b", "queue": "d", "needs": ["a"], "payload": "$.steps.a.result"}, {"name": "c", "queue": "d", "needs": ["b"], "if": "$.input.**{last} == 1"}]}');
SELECT queue_create('d');
SELECT run_id AS deep FROM workflow_start('deep', jsonb_build_object('nested', (repeat('{"a": [', 500) || '1' || repeat(']}', 500))::jsonb, 'nine', (repeat('9', 1000))::jsonb, 'large', '1e131071'::jsonb, 'small', '1e-16383'::jsonb)) \gset
SELECT l.item_index, f.outcome FROM task_acquire_lease('d', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed', l.payload -> 'it') f;
SELECT jsonb_array_length(payload), length(payload ->> 0), length(payload ->> 1), length(payload ->> 2), length(payload ->> 3), f.outcome FROM task_acquire_lease('d', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT step, state FROM workflow_steps(:deep);

SELECT * FROM baton_check(true);
