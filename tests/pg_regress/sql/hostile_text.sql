-- SQL, quotes, control and other strange characters in every text argument of every function: what is stored is what was
-- sent, byte for byte, or nothing is and the error says why. The calls are made from the catalog, so that none is forgotten.

CREATE TABLE sent (n int, what text, value text);
INSERT INTO sent VALUES
    (1, 'SQL', $v$'; DROP TABLE baton.task; --$v$),
    (2, 'SQL', $v$') RETURNING *; COMMIT; DROP SCHEMA baton CASCADE; SELECT ('$v$),
    (3, 'dollar quotes and parameters', 'a $1 $2::text $$ $body$; $baton$'),
    (4, 'formats', '%s %I %L %% %n %1$s {} {0} ${x}'),
    (5, 'backslashes', $v$\ \\ \' \n \x00 \000 \u0000 E'\''$v$),
    (6, 'identifiers', '"a""b" "; `x` [y] public.task'),
    (7, 'control characters', E'a\nb\r\nc\td\b\f\x1b[2J\x7f\x01'),
    (8, 'directions and no width', U&'\202Eabc\202C \200B\FEFF\2066x\2069 \00A0\00AD'),
    (9, 'four bytes, combined, no characters', U&'\+01F680\+01F468\200D\+01F469 e\0301\0327 \FFFE\FFFF\+10FFFF'),
    (10, 'spaces', '   '),
    (11, 'words of others', 'null'),
    (12, 'words of others', '__proto__'),
    (13, 'arrays, rows, paths, JSON', '{a,"b",NULL}'),
    (14, 'arrays, rows, paths, JSON', '(1,"x",)'),
    (15, 'arrays, rows, paths, JSON', '$.input ? (@ > "x") {"a": "\u0000"}'),
    (16, 'files and commands', '../../etc/passwd | rm -rf / ; \! ls > NUL'),
    (17, 'Turkish, sharp s, ligatures', 'İiIı ẞß ﬁ Ω'),
    (18, '255 bytes', repeat('''', 255)),
    (19, '256 bytes', repeat('x', 256)),
    (20, 'nothing', ''),
    (21, '1 MB', repeat('''; --', 200000));

-- What the calls are made upon: for each function, good values for what is not its turn.
SELECT queue_create('q', lease_ttl => '1 h');
SELECT slot_set('key', 1);
CREATE ROLE regress_known;
SELECT workflow_define('flow', '{"steps": [{"name": "s", "queue": "q", "checkpoint": "here"}]}');
SELECT task_id AS held, outcome FROM task_create('q', name => 'held') \gset
SELECT lease_token AS token FROM task_acquire_lease('q', 'w') \gset
SELECT task_id AS ended FROM task_create('q', name => 'ended') \gset
SELECT outcome FROM task_cancel(:ended);
SELECT task_id AS ready FROM task_create('q', name => 'ready') \gset
SELECT run_id AS run FROM workflow_start('flow') \gset
SELECT run_id AS free FROM workflow_start(definition => '{"steps": [{"name": "s", "queue": "q"}]}') \gset
SELECT task_id AS item, run_id AS group FROM task_create_items('q', 'g', '{1}') \gset
SELECT outcome FROM task_cancel(:item);
CREATE TABLE good AS SELECT * FROM (VALUES
    ('.', 'task_id', :'held'), ('.', 'task_ids', '{' || :'held' || '}'), ('.', 'lease_token', :'token'), ('.', 'lease_tokens', '{' || :'token' || '}'), ('.', 'run_id', :'run'),
    ('task_acquire_lease_by_id', 'task_id', :'ready'), ('task_cancel', 'task_id', :'ready'), ('task_dispatch_successor', 'task_id', :'ended'), ('workflow_finalize', 'run_id', :'group'), ('workflow_pause', 'run_id', :'free'), ('task_items', 'run_id', :'group'),
    ('task_create_items', 'run_id', NULL), ('task_list', 'run_id', NULL),
    ('.', 'queue', 'q'), ('.', 'name', 'n'), ('.', 'key', 'k'), ('.', 'owner', 'w'), ('.', 'kind', 'note'), ('.', 'kinds', '{note}'), ('.', 'state', 'completed'), ('.', 'states', '{completed}'), ('.', 'successor', 's'),
    ('.', 'bodies', '{1}'), ('.', 'payloads', '{1}'), ('.', 'metadata', '{}'), ('.', 'up_to_token', :'token'), ('.', 'checkpoint', 'here'), ('.', 'capability', 'work'), ('.', 'role_name', 'regress_known'),
    ('.', 'slot_key', 'key'), ('.', 'capacity', '1'), ('.', 'older_than', '1 h'), ('.', 'definition', '{"steps": [{"name": "s"}]}'), ('task_create_items', 'successor_queue', 'q'), ('queue_create', 'on_final_queue', 'q'), ('queue_alter', 'on_final_queue', 'q'), ('queue_alter', 'name', 'q'),
    ('workflow_start', 'definition', NULL), ('workflow_start', 'name', 'flow'), ('queue_pause', 'name', 'q')) g (function, argument, value);

-- Every text that stands in a table of ours, and where.
DO $$
BEGIN
    EXECUTE 'CREATE VIEW texts (place, value) AS ' || (SELECT string_agg(format(CASE t WHEN 'text[]' THEN 'SELECT %L, e FROM baton.%I, unnest(%I) e' WHEN 'jsonb' THEN 'SELECT %L, e #>> ''{}'' FROM baton.%I, jsonb_path_query(%I, ''strict $.**'') e WHERE jsonb_typeof(e) = ''string''' ELSE 'SELECT %L, %3$I FROM baton.%2$I' END, c.relname || '.' || a.attname, c.relname, a.attname), ' UNION ALL ')
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped, format_type(a.atttypid, NULL) t
        WHERE c.relnamespace = 'baton'::regnamespace AND c.relkind = 'r' AND t IN ('text', 'text[]', 'jsonb'));
END $$;
CREATE TABLE before AS SELECT DISTINCT * FROM texts WHERE value IS NOT NULL;

-- One call, undone again.
CREATE TABLE answer (function text, argument text, n int, code text, message text, stands text[], else_where text[]);
CREATE FUNCTION attempt(function text, argument text, n int, call text, sent text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE stands text[]; other text[]; said text;
BEGIN
    BEGIN
        EXECUTE call USING sent;
        SELECT array_agg(DISTINCT t.place) FILTER (WHERE t.value = sent), array_agg(DISTINCT t.place || ': ' || left(t.value, 20)) FILTER (WHERE t.value <> sent)
        INTO stands, other FROM (SELECT * FROM texts WHERE value IS NOT NULL EXCEPT SELECT * FROM before) t;
        RAISE SQLSTATE 'ZZ000';
    EXCEPTION WHEN OTHERS THEN
        INSERT INTO answer SELECT function, argument, n, NULLIF(SQLSTATE, 'ZZ000'), CASE SQLSTATE WHEN 'ZZ000' THEN NULL ELSE SQLERRM END, stands, other;
    END;
END $$;

SELECT count(attempt(p.proname, a.name, s.n, (
        SELECT format('SELECT * FROM %I(%s)', p.proname, string_agg(format('%I => %s', b.name, CASE WHEN b.n = a.n THEN CASE b.type WHEN 'text' THEN '$1' ELSE 'ARRAY[$1]' END ELSE format('%L::%s', g.value, b.type) END), ', '))
        FROM (SELECT name, n, format_type(t, NULL) AS type FROM unnest(p.proargnames, p.proargtypes::oid[]) WITH ORDINALITY x (name, t, n)) b
        LEFT JOIN LATERAL (SELECT value FROM good g WHERE g.argument = b.name AND g.function IN ('.', p.proname) ORDER BY g.function DESC LIMIT 1) g ON true
        WHERE b.n <= p.pronargs AND (b.n = a.n OR b.n <= p.pronargs - p.pronargdefaults OR (b.name IN ('successor', 'successor_queue', 'on_final_queue') AND a.name ~ '^(successor|on_final)')
           OR (p.proname = 'workflow_start' AND b.name = 'name') OR (b.name = 'lease_token' AND p.proname ~ 'append_event'))), s.value)) > 1200 AS calls
FROM sent s, pg_proc p, unnest(p.proargnames, p.proargtypes::oid[]) WITH ORDINALITY a (name, t, n)
WHERE p.pronamespace = 'public'::regnamespace AND p.probin = 'pg_baton' AND a.n <= p.pronargs AND a.t IN ('text'::regtype, 'text[]'::regtype);

-- What was taken and where it stands then; what was refused and why.
SELECT function, argument, count(*) FILTER (WHERE code IS NULL) AS taken, string_agg(DISTINCT stands::text, ' ') AS stands, string_agg(DISTINCT code, ' ') AS refused
FROM answer GROUP BY function, argument ORDER BY function COLLATE "C", argument COLLATE "C";
-- Which values a name may not be: the last three. Others are refused only because they name nothing that is there, or no state.
SELECT n, what, string_agg(DISTINCT code, ' ') AS refused, count(*) FILTER (WHERE code IS NULL AND stands IS NOT NULL) AS stored FROM sent LEFT JOIN answer USING (n) GROUP BY n, what ORDER BY n;
-- What else got there: only what the functions themselves say, and the good values of the other arguments.
SELECT DISTINCT x COLLATE "C" AS else_where FROM answer, unnest(else_where) x ORDER BY 1;
-- Every refusal names the argument, or repeats what it was sent; there is no other SQLSTATE, and none is very long.
SELECT function, argument, n, code, left(message, 100) AS message FROM answer JOIN sent USING (n)
WHERE code IS NOT NULL AND (code NOT IN ('22023', '42704', '54000', '42501') OR length(message) > 400 OR NOT (strpos(message, '"' || argument) > 0 OR strpos(message, '"' || value || '"') > 0)) ORDER BY 1, 2, 3;
-- Nothing remains.
SELECT * FROM texts WHERE value IS NOT NULL EXCEPT SELECT * FROM before;

-- With each of these names a queue, a key, a task, a slot key, a workflow with its steps: all of it is found again, and works.
DO $$
DECLARE s record; r bigint; said text;
BEGIN
    FOR s IN SELECT * FROM sent WHERE n < 18 LOOP
        PERFORM queue_create(s.value), slot_set(s.value, 1);
        PERFORM c.task_id FROM task_create(s.value, to_jsonb(s.value), name => s.value, key => s.value, slot_keys => ARRAY[s.value], metadata => jsonb_build_object(s.value, s.value)) c;
        PERFORM f.outcome FROM task_acquire_lease(s.value, s.value) l, task_finalize(l.task_id, l.lease_token, 'failed', jsonb_build_array(s.value), jsonb_build_object(s.value, s.value), s.value) f;
        SELECT concat_ws(' ', g.queue = s.value, g.key = s.value, g.name = s.value, g.payload = to_jsonb(s.value), g.metadata ->> s.value = s.value, g.slot_keys = ARRAY[s.value], (SELECT e.body ->> 'owner' = s.value FROM task_events(g.task_id) e WHERE e.kind = 'leased'), g.result ->> 0 = s.value, g.error ->> s.value = s.value, g.reason = s.value)
        INTO said FROM task_get_by_key(s.value, s.value) g;
        PERFORM workflow_define(s.value, jsonb_build_object('steps', jsonb_build_array(
            jsonb_build_object('name', s.value, 'queue', s.value, 'slot_keys', jsonb_build_array(s.value), 'payload', jsonb_build_object(s.value, 'x' || s.value, 'input', '$.input', 'own', '$.input.' || to_json(s.value))),
            jsonb_build_object('name', s.value || ' 2', 'queue', s.value, 'needs', jsonb_build_array(s.value), 'if', '$.steps.' || to_json(s.value) || '.result == ' || to_json(s.value), 'payload', '$.steps.' || to_json(s.value)))));
        SELECT w.run_id INTO r FROM workflow_start(s.value, jsonb_build_object(s.value, 5), key => s.value) w;
        PERFORM f.outcome FROM task_acquire_lease(s.value, 'w') l, task_finalize(l.task_id, l.lease_token, 'completed', to_jsonb(s.value)) f;
        said := said || ', ' || concat_ws(' ', (SELECT string_agg(concat_ws(' ', l.name = s.value, l.payload -> 'own', l.payload ->> s.value = 'x' || s.value, l.payload ->> 'result' = s.value), ' ') FROM task_list(run_id => r) i, task_get(i.task_id) l),
            (SELECT concat_ws(' ', g.name = s.value, g.key = s.value) FROM workflow_get(r) g), (SELECT count(*) FROM workflow_steps(r) x WHERE x.step IN (s.value, s.value || ' 2')), workflow_mermaid(r) IS NOT NULL,
            (SELECT count(*) FROM baton.queue_stats q WHERE q.queue = s.value), (SELECT u.holders FROM baton.slot_usage u WHERE u.slot_key = s.value));
        RAISE NOTICE '%: %', s.n, said;
        r := NULL;
    END LOOP;
END $$;
-- A step's name that is too long, and a path that is none.
SELECT workflow_define('n', jsonb_build_object('steps', jsonb_build_array(jsonb_build_object('name', value || ' 2')))) FROM sent WHERE n = 18;
SELECT workflow_define('n', jsonb_build_object('steps', jsonb_build_array(jsonb_build_object('name', 's', 'if', value)))) FROM sent WHERE n = 2;

-- What looks alike is not the same: composed and decomposed letters, cases, spaces, what has no width.
SELECT outcome FROM unnest(ARRAY[U&'\00e9', U&'e\0301', 'E', 'e', 'e ', ' e', U&'e\200B', U&'\0435']) key, task_create('q', key => key);
-- What is no UTF-8, and the character that no text may have, do not come as far as our functions.
SELECT * FROM task_create('q', key => convert_from('\x61ff62', 'UTF8'));
SELECT * FROM task_create('q', key => convert_from('\xeda080', 'UTF8'));
SELECT * FROM task_create('q', key => E'a\000b');
SELECT * FROM task_create('q', key => 'a' || chr(0));
SELECT * FROM task_create('q', key => U&'\D800');
-- Another client encoding: the same bytes in the tables, counted there, and none that it cannot say are sent back.
SET client_encoding = 'LATIN1';
SELECT outcome FROM task_create('q', key => U&'\00fc' || repeat(U&'\00fc', 126));
SELECT outcome FROM task_create('q', key => repeat(U&'\00fc', 128));
SELECT count(*) FROM task_get_by_key('q', repeat(U&'\00fc', 127));
SELECT outcome FROM task_create('q', key => U&'\+01F680');
SELECT key FROM task_get_by_key('q', U&'\+01F680');
SET client_encoding = 'SQL_ASCII';
SELECT outcome FROM task_create('q', key => U&'\+01F680');
RESET client_encoding;
SELECT * FROM baton_check(true);
