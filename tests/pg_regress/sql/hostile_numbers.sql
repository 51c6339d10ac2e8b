-- Numbers, times and arrays at their ends, in every argument of every function: a clear word, or what was asked; never a
-- task out of its place, a lease that does not end, or a wrapped-around count.

SELECT queue_create('q', lease_ttl => '1 h');
SELECT slot_set('key', 1);
SELECT workflow_define('flow', '{"steps": [{"name": "s", "queue": "q"}]}');
CREATE ROLE regress_known;
SELECT task_id AS held, outcome FROM task_create('q', name => 'held') \gset
SELECT lease_token AS token FROM task_acquire_lease('q', 'w') \gset
SELECT task_id AS ended FROM task_create('q', name => 'ended') \gset
SELECT outcome FROM task_cancel(:ended);
SELECT task_id AS ready FROM task_create('q', name => 'ready') \gset
SELECT run_id AS run FROM workflow_start('flow') \gset
SELECT task_id AS item, run_id AS group FROM task_create_items('q', 'g', '{1}') \gset
SELECT outcome FROM task_cancel(:item);
CREATE TABLE good AS SELECT * FROM (VALUES
    ('.', 'task_id', :'held'), ('.', 'task_ids', '{' || :'held' || '}'), ('.', 'lease_token', :'token'), ('.', 'lease_tokens', '{' || :'token' || '}'), ('.', 'run_id', :'run'),
    ('task_acquire_lease_by_id', 'task_id', :'ready'), ('task_cancel', 'task_id', :'ready'), ('task_dispatch_successor', 'task_id', :'ended'), ('workflow_finalize', 'run_id', :'group'), ('task_items', 'run_id', :'group'),
    ('.', 'queue', 'q'), ('.', 'name', 'n'), ('.', 'key', 'k'), ('.', 'owner', 'w'), ('.', 'kind', 'note'), ('.', 'kinds', '{note}'), ('.', 'state', 'completed'), ('.', 'states', '{completed}'), ('.', 'successor', 's'),
    ('.', 'bodies', '{1}'), ('.', 'payloads', '{1}'), ('.', 'metadata', '{}'), ('.', 'up_to_token', '1'), ('.', 'checkpoint', 'here'), ('.', 'capability', 'work'), ('.', 'role_name', 'regress_known'),
    ('.', 'slot_key', 'key'), ('.', 'capacity', '1'), ('.', 'older_than', '1 h'), ('.', 'definition', '{"steps": [{"name": "s"}]}'), ('queue_alter', 'name', 'q'), ('queue_drop', 'name', 'q'), ('queue_pause', 'name', 'q'), ('queue_resume', 'name', 'q')) g (function, argument, value);

-- All that is in the tables, but for places in line and times: to see what a call has changed, or that it has changed nothing.
DO $$
BEGIN
    EXECUTE 'CREATE VIEW stored AS ' || (SELECT string_agg(format('SELECT %L AS place, to_jsonb(t) AS entry FROM baton.%I t', relname, relname), ' UNION ALL ') FROM pg_class WHERE relnamespace = 'baton'::regnamespace AND relkind = 'r');
END $$;
CREATE TABLE before AS SELECT * FROM stored;
CREATE TABLE answer (function text, argument text, value text, code text, message text, changed text);
-- One call with one argument as given and good ones for the others; undone again.
CREATE FUNCTION attempt(f regproc, argument text, type text, value text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE call text; changed text;
BEGIN
    SELECT format('SELECT * FROM %s(%s)', f, string_agg(format(CASE WHEN a.name = attempt.argument AND attempt.value ~ '^array_fill' THEN '%I => %s' ELSE '%I => %L::%s' END, a.name, CASE WHEN a.name = attempt.argument THEN attempt.value ELSE g.value END, format_type(a.t, NULL)), ', ')) INTO call
    FROM pg_proc p, unnest(p.proargnames, p.proargtypes::oid[]) WITH ORDINALITY a (name, t, n)
    LEFT JOIN LATERAL (SELECT good.value FROM good WHERE good.argument = a.name AND function IN ('.', f::text) ORDER BY function DESC LIMIT 1) g ON true
    WHERE p.oid = f AND n <= p.pronargs AND (a.name = attempt.argument OR n <= p.pronargs - p.pronargdefaults OR (a.name = 'lease_token' AND f::text ~ 'append_event'));
    BEGIN
        EXECUTE call;
        SELECT string_agg(DISTINCT place, ' ' ORDER BY place) INTO changed FROM (SELECT * FROM stored EXCEPT SELECT * FROM before) c;
        RAISE SQLSTATE 'ZZ000';
    EXCEPTION WHEN OTHERS THEN
        INSERT INTO answer VALUES (f, argument, value, NULLIF(SQLSTATE, 'ZZ000'), CASE SQLSTATE WHEN 'ZZ000' THEN NULL ELSE SQLERRM END, changed);
    END;
END $$;
CREATE VIEW arguments AS SELECT p.oid::regproc AS f, a.name AS argument, format_type(a.t, NULL) AS type, pg_get_function_arg_default(p.oid, a.n::int) IS NULL AS required
FROM pg_proc p, unnest(p.proargnames, p.proargtypes::oid[]) WITH ORDINALITY a (name, t, n) WHERE p.pronamespace = 'public'::regnamespace AND p.probin = 'pg_baton' AND a.n <= p.pronargs;

-- Each number and each time at its ends.
SELECT type, count(DISTINCT (f, argument)) AS arguments, count(attempt(f, argument, type, value)) AS calls
FROM arguments, unnest(CASE type WHEN 'integer' THEN ARRAY['0', '-1', '1', '2147483647', '-2147483648'] WHEN 'bigint' THEN ARRAY['0', '-1', '9007199254740991', '9007199254740992', '9223372036854775807', '-9223372036854775808']
    WHEN 'interval' THEN ARRAY['0', '-1 us', '1 us', '-1 s', '178000000 years', '-178000000 years', '2147483647 months 2147483647 days', '-2147483648 months', '1 month -30 days', '1 day -86399.9 s', '2562047788:00:54.775807', '-2562047788:00:54.775807', '1 month', '24 h', '86400.000001']
    WHEN 'timestamp with time zone' THEN ARRAY['infinity', '-infinity', '4713-01-01 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00', '0001-01-01 00:00:00+00 BC', '1970-01-01 00:00:00+00', '2000-01-01 00:00:00+00', '2000-02-29 23:59:60+15:59'] END) value
GROUP BY type ORDER BY type;
-- By argument: which values are taken, which are refused.
\pset format unaligned
SELECT argument, taken, refused, string_agg(function, ' ' ORDER BY function COLLATE "C") AS by
FROM (SELECT function, argument, string_agg(value, ', ' ORDER BY value COLLATE "C") FILTER (WHERE code IS NULL) AS taken, string_agg(code || ' ' || value, ', ' ORDER BY code, value COLLATE "C") AS refused FROM answer GROUP BY 1, 2) a
GROUP BY 1, 2, 3 ORDER BY argument COLLATE "C", 4;
\pset format aligned
-- Every refusal names the argument. There is no other SQLSTATE.
SELECT function, argument, value, code, message FROM answer WHERE code IS NOT NULL AND (code NOT IN ('22023', '54000', '55006', '42704') OR (code IN ('22023', '54000') AND strpos(message, argument) = 0) OR (code = '42704' AND message <> format('run %s does not exist', value))) ORDER BY 1, 2, 3;
-- What is no task's, no run's, no token, changes nothing.
SELECT function, argument, value, changed FROM answer WHERE argument IN ('task_id', 'run_id', 'lease_token') AND changed IS NOT NULL ORDER BY 1, 2, 3;

-- Infinite intervals, where the server has them (17 and later; before, they are no intervals).
TRUNCATE answer;
SELECT count(attempt(f, argument, type, value)) AS calls FROM arguments, unnest('{infinity,-infinity}'::text[]) value WHERE type = 'interval';
SELECT DISTINCT function, argument, code, message FROM answer WHERE code IS NULL OR NOT (code = '22023' AND strpos(message, argument) > 0 OR code = '22007');

-- NULL in every argument in turn: 22004 for those without a default, nothing changed; for the others as if it were not there.
TRUNCATE answer;
SELECT count(attempt(f, argument, type, NULL)) AS calls FROM arguments;
SELECT required, code, count(*) FROM answer JOIN arguments a ON a.f::text = function AND a.argument = answer.argument GROUP BY 1, 2 ORDER BY 1, 2;
SELECT function, argument, code, message FROM answer WHERE code NOT IN ('22004') OR (code = '22004' AND message <> format('argument "%s" must not be null', argument)) ORDER BY 1, 2;

-- Every array argument: empty, NULL in it, two dimensions, another lower bound, a million elements, one more than there may be.
TRUNCATE answer;
SELECT type, count(DISTINCT (f, argument)) AS arguments, count(attempt(f, argument, type, value)) AS calls
FROM arguments, unnest(CASE type WHEN 'text[]' THEN ARRAY['{}', '{NULL}', '{{completed},{completed}}', '[5:5]={completed}', '[0:0]={completed}', '[-2147483648:-2147483648]={completed}', '{""}', '{completed,completed}', 'array_fill(''completed''::text, ARRAY[1000000])', 'array_fill(''completed''::text, ARRAY[1001])']
    WHEN 'bigint[]' THEN ARRAY['{}', '{NULL}', '{{1},{1}}', '[5:5]={1}', '[-2147483648:-2147483648]={1}', '{1,1}', 'array_fill(1::bigint, ARRAY[1000000])', 'array_fill(1::bigint, ARRAY[1001])']
    WHEN 'jsonb[]' THEN ARRAY['{}', '{NULL}', '{{1},{1}}', '[5:5]={1}', '[-2147483648:-2147483648]={1}', '{1,1}', 'array_fill(''1''::jsonb, ARRAY[1000000])', 'array_fill(''1''::jsonb, ARRAY[100001])'] END) value
WHERE type ~ '\[\]$' GROUP BY type ORDER BY type;
\pset format unaligned
SELECT function, argument, string_agg(value || ': ' || coalesce(code || ' ' || message, 'taken'), '; ' ORDER BY length(value), value COLLATE "C") FROM answer GROUP BY 1, 2 ORDER BY function COLLATE "C", 2;
\pset format aligned
SELECT (SELECT count(*) FROM (SELECT * FROM stored EXCEPT ALL SELECT * FROM before) c) AS more, (SELECT count(*) FROM (SELECT * FROM before EXCEPT ALL SELECT * FROM stored) c) AS fewer;

-- Arrays as PL/pgSQL holds them, expanded, with elements out of line; a VARIADIC call of what is not variadic.
DO $$
DECLARE ids bigint[]; tokens bigint[]; bodies jsonb[]; kinds text[]; said text; t bigint; l bigint;
BEGIN
    SELECT c.task_id, a.lease_token INTO t, l FROM task_create('q', key => 'expanded') c, task_acquire_lease_by_id(c.task_id, 'w') a;
    FOR i IN 1..1000 LOOP ids[i] := t; tokens[i] := l; END LOOP;
    SELECT string_agg(DISTINCT outcome, ' ') || ' ' || count(*) INTO said FROM task_heartbeat_many(ids, tokens, '2 h');
    RAISE NOTICE '%', said;
    FOR i IN 1..1000 LOOP bodies[i] := to_jsonb(repeat('x', 2000 + i)); kinds[i] := 'note'; END LOOP;
    SELECT outcome || ' ' || last_seq INTO said FROM task_append_events(t, kinds, bodies, l);
    RAISE NOTICE '%', said;
    ids[1001] := t; tokens[1001] := l;
    BEGIN PERFORM task_heartbeat_many(ids, tokens); EXCEPTION WHEN OTHERS THEN RAISE NOTICE '% %', SQLSTATE, SQLERRM; END;
    ids := ids[3:3]; tokens := tokens[4:4];
    SELECT outcome INTO said FROM task_finalize_many(ids, tokens, ARRAY['completed'], bodies[1000:1000]);
    RAISE NOTICE '% %', said, (SELECT length(result ->> 0) FROM task_get(t));
END $$;
SELECT * FROM task_heartbeat_many(VARIADIC '{1}'::bigint[]);
SELECT * FROM task_heartbeat_many(1, 1);
SELECT * FROM task_create('q', priority => 3000000000);
SELECT * FROM task_create('q', priority => 1.5);
SELECT * FROM task_create('q', '{}', 'n', 'k', 0, NULL, 1, NULL, '{}', 'one too many');
SELECT * FROM task_create('q', queue => 'q');

-- Times far away: in line where they belong, and no lease that outlives its queue's bounds.
SELECT queue_create('far', backoff_base => '0', backoff_max => '0', max_runtime => '10 s', max_attempts => 10000, max_lost_leases => 10000);
SELECT queue_create('farther', lease_ttl => '24 h', backoff_base => '10 years', backoff_max => '10 years', max_runtime => '10 years', max_attempts => 10000, max_lost_leases => 10000);
SELECT outcome, state FROM unnest(ARRAY['4713-01-01 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00']::timestamptz[]) at, task_create('farther', to_jsonb(at AT TIME ZONE 'UTC'), run_at => at, priority => 9);
SELECT payload, lease_expires_at - clock_timestamp() BETWEEN '23:59' AND '24:00' AS a_day FROM task_acquire_lease('farther', 'w', '24 h', 1000);
SELECT f.outcome, f.state, f.run_at - clock_timestamp() BETWEEN '3599 days' AND '3601 days' AS ten_years FROM baton.leases l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '10 years') f WHERE l.queue = 'farther';
SELECT count(*) FROM task_acquire_lease('farther', 'w', '24 h', 1000);
SELECT outcome FROM task_create('far');
SELECT lease_expires_at - clock_timestamp() <= '10 s' AS bounded FROM task_acquire_lease('far', 'w', '24 h');
SELECT h.outcome, h.lease_expires_at - clock_timestamp() <= '10 s' AS bounded FROM baton.leases l, task_heartbeat(l.task_id, l.lease_token, '24 h') h WHERE l.queue = 'far';

SELECT * FROM baton_check(true);
