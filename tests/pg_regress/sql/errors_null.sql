-- NULL for an argument that has no NULL default is an error that names it, whichever the others are; nothing is written.

SELECT queue_create('q');
SELECT outcome FROM task_create('q', key => 'k');

-- Calls a function with a good value for each argument but one, which is NULL.
CREATE FUNCTION call_with_null(function oid, argument int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE call text;
BEGIN
    SELECT format('SELECT * FROM %s(%s)', function::regproc, string_agg(CASE
            WHEN n = argument THEN 'NULL'
            WHEN name IN ('queue', 'successor_queue') THEN '''q'''
            WHEN name IN ('payloads', 'bodies', 'results', 'errors') THEN 'ARRAY[''{}'']::jsonb[]'
            WHEN name = 'slot_keys' OR name LIKE 'on_final%' THEN 'NULL'
            WHEN name = 'states' THEN '''{failed}'''
            WHEN name = 'state' THEN '''completed'''
            WHEN name = 'on_lost' THEN '''fail'''
            WHEN name = 'capability' THEN '''work'''
            WHEN type = 'text[]' THEN '''{word}'''
            WHEN type = 'bigint[]' THEN '''{1}'''
            WHEN type = 'text' THEN '''word'''
            WHEN type IN ('integer', 'bigint') THEN '1'
            WHEN type = 'jsonb' THEN '''{}'''
            WHEN type = 'interval' THEN '''1 s'''
            WHEN type = 'boolean' THEN 'false'
            ELSE 'NULL' END, ', ' ORDER BY n))
    INTO call
    FROM pg_proc p, unnest(p.proargnames, p.proargtypes::oid[]) WITH ORDINALITY a (name, t, n), format_type(t, NULL) type
    WHERE p.oid = function AND n <= p.pronargs;
    BEGIN
        EXECUTE call;
        RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE = 'no error: ' || call;
    EXCEPTION WHEN OTHERS THEN
        RETURN CASE SQLSTATE WHEN 'ZZ000' THEN '' ELSE SQLSTATE || ': ' END || SQLERRM;
    END;
END $$;

-- The arguments that must not be NULL: those without a NULL default.
SELECT p.proname AS function, a.name AS argument, call_with_null(p.oid, a.n::int) AS answer
FROM pg_proc p, unnest(p.proargnames) WITH ORDINALITY a (name, n)
WHERE p.pronamespace = 'public'::regnamespace AND p.proname ~ '^(task|queue|slot|workflow|baton)_'
  AND a.n <= p.pronargs AND coalesce(pg_get_function_arg_default(p.oid, a.n::int), '') NOT LIKE 'NULL%'
ORDER BY p.proname COLLATE "C", a.n;
-- The others may be: none of these is a NULL error.
SELECT p.proname AS function, a.name AS argument, call_with_null(p.oid, a.n::int) AS answer
FROM pg_proc p, unnest(p.proargnames) WITH ORDINALITY a (name, n)
WHERE p.pronamespace = 'public'::regnamespace AND p.proname ~ '^(task|queue|slot|workflow|baton)_'
  AND a.n <= p.pronargs AND pg_get_function_arg_default(p.oid, a.n::int) LIKE 'NULL%'
  AND call_with_null(p.oid, a.n::int) ~ 'null'
ORDER BY p.proname COLLATE "C", a.n;

SELECT count(*) AS tasks FROM baton.task;
SELECT count(*) AS runs FROM baton.run;
SELECT count(*) AS definitions FROM baton.workflow;
SELECT count(*) AS keys FROM baton.slot_key;
SELECT count(*) AS compensations FROM baton.compensation;
SELECT name FROM baton.queue;

SELECT * FROM baton_check(true);
