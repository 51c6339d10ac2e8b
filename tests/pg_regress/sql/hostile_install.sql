-- CREATE EXTENSION among what others have put there, by the wrong people, into strange schemas, and twice; and a session
-- in which it goes away and comes back.

-- Whoever runs one of these as somebody else says so.
CREATE ROLE regress_attacker;
GRANT CREATE ON DATABASE regression TO regress_attacker;
DROP EXTENSION pg_baton;
GRANT CREATE ON SCHEMA public TO regress_attacker;
SET ROLE regress_attacker;
CREATE FUNCTION trap(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN RAISE WARNING 'trap: % as %', what, current_user; END $$;

-- Functions in the target schema that fit better than the server's own: those take any type, an unknown one, or any array.
CREATE FUNCTION num_nonnulls(text, bigint, timestamptz) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('num_nonnulls'); RETURN pg_catalog.num_nonnulls($1, $2, $3); END $$;
CREATE FUNCTION num_nonnulls(bigint, bigint) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('num_nonnulls'); RETURN 1; END $$;
CREATE FUNCTION num_nonnulls(bigint, bigint, bigint) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('num_nonnulls'); RETURN 1; END $$;
CREATE FUNCTION nextval(text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('nextval'); RETURN pg_catalog.nextval($1::regclass); END $$;
CREATE FUNCTION cardinality(int[]) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('cardinality'); RETURN pg_catalog.cardinality($1); END $$;
CREATE FUNCTION format(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('format'); RETURN ''; END $$;
CREATE FUNCTION jsonb_build_object(text, jsonb, text, jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('jsonb_build_object'); RETURN '{}'; END $$;
CREATE FUNCTION pg_column_size(jsonb) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('pg_column_size'); RETURN 1; END $$;
CREATE FUNCTION add_up(int[], int) RETURNS int[] LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('array_agg'); RETURN $1; END $$;
CREATE FUNCTION add_up(bigint[], bigint) RETURNS bigint[] LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('array_agg'); RETURN $1; END $$;
CREATE AGGREGATE array_agg(int) (SFUNC = add_up, STYPE = int[]);
CREATE AGGREGATE array_agg(bigint) (SFUNC = add_up, STYPE = bigint[]);
-- Operators: of each name for each two types for which the server has none of its own, but one that fits.
DO $$
DECLARE l text; r text; o text; types text[] := '{smallint,integer,bigint,text,name,boolean,timestamptz,interval,pg_catalog.jsonb,integer[],bigint[],smallint[],text[]}';
BEGIN
    FOREACH l IN ARRAY types LOOP
        FOREACH r IN ARRAY types LOOP
            EXECUTE format('CREATE FUNCTION meets(%s, %s) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.trap(%L); RETURN true; END $f$', l, r, l || ' with ' || r);
            FOREACH o IN ARRAY '{=,<>,<,<=,>,>=,&&,@>,<@,||,+,-,*,~}'::text[] LOOP
                IF to_regoperator(format('pg_catalog.%s(%s,%s)', o, l, r)) IS NULL THEN
                    EXECUTE format('CREATE OPERATOR %s (FUNCTION = meets, LEFTARG = %s, RIGHTARG = %s)', o, l, r);
                END IF;
            END LOOP;
        END LOOP;
    END LOOP;
END $$;
SELECT count(*) > 1000 AS many FROM pg_operator WHERE oprnamespace = 'public'::regnamespace;
-- Tables, views, types, sequences and domains with the names of what is about to be made.
CREATE TABLE task (task_id bigint);
CREATE TABLE queue (name text);
CREATE VIEW leases AS SELECT 1 AS task_id FROM public.trap('view');
CREATE TYPE outcome AS ENUM ('hijacked');
CREATE SEQUENCE token_seq;
CREATE DOMAIN jsonb AS pg_catalog.jsonb CHECK (public.trap('domain') IS NULL);
CREATE DOMAIN "interval" AS pg_catalog."interval" CHECK (public.trap('domain') IS NULL);
RESET ROLE;
CREATE EXTENSION pg_baton;
-- Nothing of ours rests on anything but the server's and our own.
WITH ours AS (
    SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_baton')
), within AS (
    SELECT * FROM ours
    UNION SELECT d.classid, d.objid FROM pg_depend d JOIN ours o ON o.classid = d.refclassid AND o.objid = d.refobjid WHERE d.deptype IN ('i', 'a')
)
SELECT pg_describe_object(w.classid, w.objid, 0) AS rests, pg_describe_object(d.refclassid, d.refobjid, 0) AS upon
FROM within w JOIN pg_depend d USING (classid, objid)
WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_class'::regclass)
  AND d.refobjid >= 16384 AND (d.refclassid, d.refobjid) NOT IN (SELECT classid, objid FROM within)
ORDER BY 1, 2;
-- Nothing springs while it is used: a life, a run with paths, every view, for the owner and for somebody with a queue of his own.
CREATE ROLE regress_worker;
SELECT queue_create('q');
SELECT baton_grant('regress_worker', c, 'q') FROM unnest(ARRAY['produce', 'work', 'observe']) c;
\set flow '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input.items", "payload": {"n": "$.item"}}, {"name": "b", "queue": "q", "needs": ["a"], "payload": "$.steps.a.result"}]}'
SELECT outcome FROM workflow_start(input => '{"items": [1, 2]}', definition => :'flow');
SELECT f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed', '1') f;
SELECT payload FROM task_acquire_lease('q', 'w');
SELECT queue, running FROM baton.queue_stats;
SET ROLE regress_worker;
SELECT outcome FROM task_create('q');
SELECT queue, ready FROM baton.queue_stats;
SELECT count(*) FROM baton.leases;
SELECT state, tasks FROM baton.workflow_progress;
SELECT count(*) FROM baton.slot_usage;
RESET ROLE;
SELECT * FROM baton_check(true);
-- The traps do spring for who calls them.
SELECT num_nonnulls('a'::text, 1::bigint, now());
SET ROLE regress_attacker;
SELECT ARRAY[1] = ARRAY[2];
RESET ROLE;

-- A function of that very name and those arguments is there before: the install fails, and leaves nothing behind.
DROP OWNED BY regress_worker;
DROP EXTENSION pg_baton;
SET ROLE regress_attacker;
CREATE FUNCTION task_require_lease(task_id bigint, lease_token bigint) RETURNS void LANGUAGE sql AS 'SELECT public.trap(''ours'')';
RESET ROLE;
CREATE EXTENSION pg_baton;
SELECT count(*) AS schemas FROM pg_namespace WHERE nspname = 'baton';
SELECT count(*) AS functions FROM pg_proc WHERE probin LIKE '%pg_baton%';
-- A schema baton with tables like ours in it, and rights for everybody.
SET ROLE regress_attacker;
DROP FUNCTION task_require_lease;
CREATE SCHEMA baton CREATE TABLE queue (queue_id int, name text) CREATE TABLE capability (role_name text);
GRANT ALL ON SCHEMA baton TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA baton TO PUBLIC;
RESET ROLE;
CREATE EXTENSION pg_baton;
CREATE EXTENSION IF NOT EXISTS pg_baton;
SELECT count(*) AS functions FROM pg_proc WHERE probin LIKE '%pg_baton%';
SET ROLE regress_attacker;
\set VERBOSITY terse
DROP SCHEMA baton CASCADE;
\set VERBOSITY verbose
RESET ROLE;

-- By somebody who is no superuser: neither the owner of the database nor of the schema.
CREATE ROLE regress_owner;
SELECT current_database() AS regression \gset
ALTER DATABASE :regression OWNER TO regress_owner;
SET ROLE regress_owner;
CREATE EXTENSION pg_baton;
RESET ROLE;
SET ROLE regress_attacker;
CREATE EXTENSION pg_baton;
-- Nor its functions, from the library, one by one.
CREATE FUNCTION mine(text) RETURNS text LANGUAGE c AS 'pg_baton', 'task_create_wrapper';
LOAD 'pg_baton';
RESET ROLE;
ALTER DATABASE :regression OWNER TO CURRENT_USER;

-- A hostile search path: the API goes where it says first, the state does not.
DROP OWNED BY regress_attacker;
GRANT CREATE ON DATABASE :regression TO regress_attacker;
SET ROLE regress_attacker;
CREATE SCHEMA evil;
CREATE TABLE evil.task (task_id int);
CREATE FUNCTION evil.nextval(text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'trap: nextval as %', current_user; RETURN 1; END $$;
RESET ROLE;
SET search_path = evil, pg_temp, public;
CREATE EXTENSION pg_baton SCHEMA public;
RESET search_path;
SELECT pronamespace::regnamespace AS api, count(*) FROM pg_proc WHERE proname IN ('task_create', 'queue_create', 'workflow_start') GROUP BY 1;
SELECT outcome FROM task_create('default');
SELECT adbin IS NOT NULL AS has_default, pg_get_expr(adbin, adrelid) AS sequence FROM pg_attrdef WHERE adrelid = 'baton.queue'::regclass AND adnum = 1;
DROP EXTENSION pg_baton;
SET search_path = "$user", nowhere;
CREATE EXTENSION pg_baton;
RESET search_path;
CREATE EXTENSION pg_baton SCHEMA nowhere;
CREATE EXTENSION pg_baton SCHEMA pg_temp;
SELECT count(*) AS schemas FROM pg_namespace WHERE nspname = 'baton';
-- Into a schema of somebody else's: he can take nothing out of it, nor put anything in front of what the functions do.
CREATE EXTENSION pg_baton SCHEMA evil;
SET ROLE regress_attacker;
DROP FUNCTION evil.task_create;
ALTER FUNCTION evil.task_require_lease RENAME TO other;
CREATE OR REPLACE FUNCTION evil.task_require_lease(task_id bigint, lease_token bigint) RETURNS void LANGUAGE sql AS 'SELECT';
SELECT * FROM evil.task_create('default');
ALTER SCHEMA evil RENAME TO eviler;
RESET ROLE;
SELECT outcome FROM eviler.task_create('default');
DROP EXTENSION pg_baton;

-- Schemas whose names need quotes.
CREATE SCHEMA "Weird ""Schema"" $$ \ ' ; DROP SCHEMA public; -- 漢字";
CREATE EXTENSION pg_baton SCHEMA "Weird ""Schema"" $$ \ ' ; DROP SCHEMA public; -- 漢字";
CREATE ROLE regress_other;
SELECT "Weird ""Schema"" $$ \ ' ; DROP SCHEMA public; -- 漢字".baton_grant('regress_other', 'produce', 'default');
SET ROLE regress_other;
SELECT outcome FROM "Weird ""Schema"" $$ \ ' ; DROP SCHEMA public; -- 漢字".task_create('default');
RESET ROLE;
SELECT f.outcome FROM "Weird ""Schema"" $$ \ ' ; DROP SCHEMA public; -- 漢字".task_acquire_lease('default', 'w') l, "Weird ""Schema"" $$ \ ' ; DROP SCHEMA public; -- 漢字".task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT "Weird ""Schema"" $$ \ ' ; DROP SCHEMA public; -- 漢字".baton_revoke('regress_other', 'produce', 'default');
SELECT count(*) FROM "Weird ""Schema"" $$ \ ' ; DROP SCHEMA public; -- 漢字".baton_check(true);
-- Renamed while it is in use.
ALTER SCHEMA "Weird ""Schema"" $$ \ ' ; DROP SCHEMA public; -- 漢字" RENAME TO plain;
SELECT outcome FROM plain.task_create('default');
SELECT plain.baton_grant('regress_other', 'produce', 'default');
SET ROLE regress_other;
SELECT outcome FROM plain.task_create('default');
RESET ROLE;
DROP OWNED BY regress_other;
\set VERBOSITY terse
DROP SCHEMA plain;
DROP SCHEMA plain CASCADE;
\set VERBOSITY verbose
SELECT count(*) AS schemas FROM pg_namespace WHERE nspname = 'baton';

-- Twice, in another schema, another version, from another session's settings; moved.
CREATE EXTENSION pg_baton;
CREATE EXTENSION pg_baton;
CREATE EXTENSION pg_baton SCHEMA evil;
CREATE EXTENSION IF NOT EXISTS pg_baton SCHEMA eviler;
CREATE EXTENSION pg_baton VERSION '0.0.0; DROP TABLE x';
ALTER EXTENSION pg_baton UPDATE TO '../../etc/passwd';
ALTER EXTENSION pg_baton SET SCHEMA eviler;
ALTER EXTENSION pg_baton SET SCHEMA baton;
SELECT outcome FROM task_create('default');

-- Dropped with what others have built upon it; never without their leave.
CREATE VIEW waiting AS SELECT queue, ready FROM baton.queue_stats;
CREATE FUNCTION lives() RETURNS SETOF text LANGUAGE sql BEGIN ATOMIC SELECT f.outcome FROM task_create('default') c, task_acquire_lease_by_id(c.task_id, 'w') l, task_finalize(c.task_id, l.lease_token, 'completed') f; END;
SELECT * FROM lives();
\set VERBOSITY sqlstate
DROP EXTENSION pg_baton;
\set VERBOSITY verbose
SET client_min_messages = warning;
DROP EXTENSION pg_baton CASCADE;
RESET client_min_messages;
SELECT lives();
SELECT * FROM waiting;

-- In one session, which keeps plans, positions and open statements: it goes, comes back, and is rolled back.
CREATE FUNCTION life(queue text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE t bigint; l bigint; said text[];
BEGIN
    SELECT c.task_id INTO t FROM task_create(queue, '{"n": 1}', key => 'k', metadata => '{"m": 1}') c;
    SELECT a.lease_token INTO l FROM task_acquire_lease(queue, 'w') a;
    said := said || (SELECT outcome FROM task_start(t, l)) || (SELECT outcome FROM task_heartbeat(t, l, '1 h')) || (SELECT outcome FROM task_append_event(t, 'note', '1', l));
    said := said || (SELECT outcome FROM task_finalize(t, l, 'completed', '1')) || (SELECT outcome FROM task_finalize(t, l, 'completed', '1'));
    RETURN array_to_string(said || (SELECT count(*)::text FROM baton_check(true)) || (SELECT tasks::text FROM baton_purge('0', queue => queue)), ' ');
END $$;
CREATE EXTENSION pg_baton;
PREPARE p AS SELECT outcome FROM task_create($1);
SELECT life('default');
EXECUTE p('default');
DROP EXTENSION pg_baton;
EXECUTE p('default');
SELECT life('default');
CREATE EXTENSION pg_baton;
EXECUTE p('default');
SELECT count(*) FROM task_acquire_lease('default', 'w', max_tasks => 9);
SELECT life('default');
BEGIN;
SELECT life('default');
DROP EXTENSION pg_baton;
SAVEPOINT s;
SELECT * FROM task_create('default');
ROLLBACK TO s;
CREATE EXTENSION pg_baton;
SELECT life('default');
SELECT queue_create('new');
SELECT life('new');
ROLLBACK;
SELECT life('default');
SELECT life('new');
BEGIN;
SAVEPOINT s;
DROP EXTENSION pg_baton;
CREATE EXTENSION pg_baton SCHEMA eviler;
SELECT outcome FROM eviler.task_create('default');
ROLLBACK TO s;
SELECT life('default');
COMMIT;
BEGIN;
DROP EXTENSION pg_baton;
CREATE EXTENSION pg_baton;
SELECT life('default');
COMMIT;
SELECT life('default');
-- Under an open cursor on one of its functions.
BEGIN;
DECLARE c CURSOR FOR SELECT outcome FROM task_create_many('default', ARRAY['1', '2', '3']::jsonb[]);
FETCH 1 FROM c;
DROP EXTENSION pg_baton;
ROLLBACK;
SELECT life('default');
-- In a read-only transaction.
BEGIN READ ONLY;
DROP EXTENSION pg_baton;
ROLLBACK;
SELECT * FROM baton_check(true);

-- In a database that is not in UTF-8 the install fails, and what it says runs nobody's operator.
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_latin1;
RESET client_min_messages;
CREATE DATABASE regress_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;
\c regress_latin1
CREATE FUNCTION joined(name, name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'trap: name || as %', current_user; RETURN ''; END $$;
CREATE OPERATOR || (FUNCTION = joined, LEFTARG = name, RIGHTARG = name);
CREATE EXTENSION pg_baton;
SELECT count(*) AS schemas FROM pg_namespace WHERE nspname = 'baton';
SELECT 'x' || current_database();
\c :regression
DROP DATABASE regress_latin1;
