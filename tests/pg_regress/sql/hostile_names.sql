-- Everything that the server has under one name is there under the same in a schema that comes first in the search path,
-- and in pg_temp: functions, operators, types, tables. None of it is ever run by the functions, whoever calls them.

CREATE ROLE regress_attacker;
CREATE ROLE regress_super SUPERUSER LOGIN;
SELECT current_database() AS regression, current_user AS owner \gset
GRANT CREATE ON DATABASE :regression TO regress_attacker;
SELECT queue_create('q');
SELECT slot_set('key', 1);
SELECT baton_grant('regress_attacker', c, 'q') FROM unnest(ARRAY['produce', 'work', 'observe', 'control', 'operate']) c;
SELECT workflow_define('flow', '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input.items[*] ? (@ > 0)", "payload": {"n": "$.item", "all": "$.input"}, "slot_keys": ["key"], "max_runtime": "1 min", "compensate": {"queue": "q", "payload": {"of": "$.task.result"}}},
    {"name": "b", "queue": "q", "needs": ["a"], "if": "$.steps.a.result[*] like_regex \"x\"", "payload": "$.steps.a", "checkpoint": "c"}]}');

-- The whole of a task's and of a run's life, and everything there is to read. It names nothing but our functions.
CREATE FUNCTION everything(q text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE t bigint; l bigint; r bigint;
BEGIN
    RETURN QUERY SELECT outcome FROM task_create(q, '{"n": 1}', 'name', 'k', 3, NULL, 5, '{key}', '{"m": 1}');
    RETURN QUERY SELECT outcome FROM task_create(q, '{"n": 1}', 'name', 'k');
    RETURN QUERY SELECT outcome FROM task_create(q, '{"n": 2}', 'name', 'k');
    RETURN QUERY SELECT outcome FROM task_create_many(q, '{1,2}', keys => '{a,b}');
    RETURN QUERY SELECT outcome FROM task_create_items(q, 'g', '{1,2}', 1, key => 'g', successor => 's');
    SELECT a.task_id, a.lease_token INTO t, l FROM task_acquire_lease(q, 'w') a;
    RETURN QUERY SELECT outcome FROM task_start(t, l);
    RETURN QUERY SELECT outcome FROM task_heartbeat(t, l, '1 h');
    RETURN QUERY SELECT outcome FROM task_heartbeat_many(ARRAY[t], ARRAY[l], '2 h');
    RETURN QUERY SELECT outcome FROM task_append_event(t, 'note', '{"a": 1}', l, 'd');
    RETURN QUERY SELECT outcome FROM task_append_event(t, 'note', '{"a": 1}', l, 'd');
    RETURN QUERY SELECT outcome FROM task_append_events(t, '{a,b}', '{1,2}', l, '{x,y}');
    RETURN QUERY SELECT outcome FROM task_annotate(t, '{"a": 1}', l);
    PERFORM task_require_lease(t, l);
    RETURN QUERY SELECT outcome FROM task_register_compensation(t, l, 'undo', q);
    RETURN QUERY SELECT outcome FROM task_release(t, l, '0');
    RETURN QUERY SELECT outcome FROM task_acquire_lease_by_id(t, 'w');
    SELECT g.lease_token INTO l FROM task_get_by_key(q, 'k') g;
    RETURN QUERY SELECT outcome FROM task_fail_attempt(t, l, '1', '0');
    SELECT a.task_id, a.lease_token INTO t, l FROM task_acquire_lease(q, 'w') a;
    RETURN QUERY SELECT outcome FROM task_finalize(t, l, 'failed', '1', '2', 'why');
    RETURN QUERY SELECT outcome FROM task_finalize(t, l, 'failed', '1', '2', 'why');
    RETURN QUERY SELECT f.outcome FROM task_acquire_lease(q, 'w', max_tasks => 10) a, task_finalize_many(ARRAY[a.task_id], ARRAY[a.lease_token], '{completed}', '{1}', '{2}') f;
    RETURN QUERY SELECT f.outcome FROM task_acquire_lease(q, 'w', max_tasks => 10) a, task_finalize(a.task_id, a.lease_token, 'completed') f;
    RETURN QUERY SELECT outcome FROM task_redrive(t);
    RETURN QUERY SELECT outcome FROM task_dispatch_successor(t, 'then', q);
    RETURN QUERY SELECT outcome FROM task_cancel(t, 'why', true);
    RETURN QUERY SELECT e.kind FROM task_events(t) e;
    RETURN QUERY SELECT c.state FROM task_compensations(t) c;
    RETURN QUERY SELECT a.role FROM task_annotations(t) a;
    RETURN QUERY SELECT g.state FROM task_get(t) g;
    RETURN QUERY SELECT c.outcome FROM task_list(q, '{ready,scheduled}') i, task_cancel(i.task_id) c;
    RETURN QUERY SELECT g.state FROM queue_redrive(q, max_tasks => 1) d, task_get(d.new_task_id) g;
    RETURN QUERY SELECT p.outcome FROM task_reap(10, q) p;
    PERFORM task_acquire_lease(q, 'dead');
    RETURN QUERY SELECT p.outcome FROM task_reap_owner('dead', 9007199254740991, 'gone') p;
    PERFORM queue_pause(q), queue_resume(q), queue_alter(q, max_attempts => 5, on_lost => 'requeue');
    SELECT s.run_id INTO r FROM workflow_start('flow', '{"items": [1, 2]}', 'k', metadata => '{"m": 1}') s;
    RETURN QUERY SELECT outcome FROM workflow_start('flow', '{"items": [1, 2]}', 'k');
    RETURN NEXT workflow_pause(r, 'here', '1');
    RETURN NEXT workflow_resume(r, 'here');
    RETURN NEXT workflow_annotate(r, '{"a": 1}');
    RETURN QUERY SELECT outcome FROM workflow_append_event(r, 'note', '1', 'd');
    RETURN QUERY SELECT f.outcome FROM task_list(q, '{ready,scheduled}', 'a') i, task_acquire_lease_by_id(i.task_id, 'w') a, task_finalize(i.task_id, a.lease_token, 'completed', '"x"') f;
    RETURN QUERY SELECT f.outcome FROM task_list(q, '{ready,scheduled}', 'a') i, task_acquire_lease_by_id(i.task_id, 'w') a, task_finalize(i.task_id, a.lease_token, 'completed', '"x"') f;
    RETURN NEXT workflow_resume(r, 'c');
    RETURN QUERY SELECT i.state FROM task_items(r, 'a') i;
    RETURN QUERY SELECT f.outcome FROM task_list(q, '{ready}', 'b') i, task_acquire_lease_by_id(i.task_id, 'w') a, task_finalize(i.task_id, a.lease_token, 'failed') f;
    RETURN QUERY SELECT outcome FROM workflow_cancel(r);
    SELECT g.run_id INTO t FROM task_list(q, name => 'g', max_tasks => 1) g;
    RETURN NEXT workflow_finalize(t, 'failed');
    RETURN QUERY SELECT c.name FROM task_list(q, '{ready}') i, task_acquire_lease_by_id(i.task_id, 'w') a, task_finalize(i.task_id, a.lease_token, 'completed') f, task_get(i.task_id) c;
    RETURN QUERY SELECT s.state FROM workflow_steps(r) s;
    RETURN QUERY SELECT e.kind FROM workflow_events(r) e;
    RETURN QUERY SELECT c.state FROM workflow_compensations(r) c;
    RETURN QUERY SELECT g.state FROM workflow_get(r) g;
    PERFORM workflow_mermaid(r);
    RETURN QUERY SELECT s.queue FROM baton.queue_stats s;
    RETURN QUERY SELECT s.queue FROM baton.leases s;
    RETURN QUERY SELECT s.slot_key FROM baton.slot_usage s WHERE s.step IS NULL AND s.run_id IS NULL;
    RETURN QUERY SELECT s.state FROM baton.workflow_progress s WHERE s.key IS NOT NULL;
END $$;
\pset format unaligned
BEGIN;
SELECT string_agg(said, ' ') FROM everything('q') said;
ROLLBACK;

-- What the attacker makes: a trap for every function of the server's with its very arguments.
SET ROLE regress_attacker;
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
DO $$
DECLARE p record; body text;
BEGIN
    FOR p IN SELECT oid, proname, proretset, prorettype, pg_get_function_identity_arguments(oid) AS args, pg_get_function_result(oid) AS result FROM pg_catalog.pg_proc
             WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' LOOP
        body := format('BEGIN RAISE WARNING ''trap: %% as %%'', %L, current_user; %s END', p.proname, CASE WHEN p.proretset OR p.prorettype = 'void'::regtype THEN 'RETURN;' ELSE 'RETURN NULL;' END);
        BEGIN
            EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', p.proname, p.args, p.result, body);
        EXCEPTION WHEN OTHERS THEN NULL; -- what takes or returns internal things
        END;
    END LOOP;
END $$;
-- For every operator of the server's.
DO $$
DECLARE o record;
BEGIN
    FOR o IN SELECT oprname, oprkind, format_type(oprleft, NULL) AS l, format_type(oprright, NULL) AS r, oprresult::regtype AS result FROM pg_catalog.pg_operator
             WHERE oprnamespace = 'pg_catalog'::regnamespace LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION evil."trap %s"(%s) RETURNS %s LANGUAGE plpgsql AS %L', o.oprname, concat_ws(', ', NULLIF(o.l, '-'), o.r), o.result,
                format('BEGIN RAISE WARNING ''trap: %% as %%'', %L, current_user; RETURN NULL; END', o.oprname));
            EXECUTE format('CREATE OPERATOR evil.%s (FUNCTION = evil."trap %s", %s RIGHTARG = %s)', o.oprname, o.oprname, CASE o.oprkind WHEN 'b' THEN 'LEFTARG = ' || o.l || ',' END, o.r);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
END $$;
-- Casts, operator classes, conversions, collations and languages that would be found by what they are for, not by name: not his to make, or not found.
CREATE FUNCTION evil.as_text(jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'trap: a cast as %', current_user; RETURN ''; END $$;
CREATE FUNCTION evil.as_path(text) RETURNS jsonpath LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'trap: a cast as %', current_user; RETURN '$'; END $$;
CREATE CAST (jsonb AS text) WITH FUNCTION evil.as_text(jsonb) AS IMPLICIT;
CREATE CAST (text AS jsonpath) WITH FUNCTION evil.as_path(text) AS IMPLICIT;
CREATE CAST (smallint AS text) WITH INOUT AS IMPLICIT;
CREATE OPERATOR CLASS evil.int8_ops DEFAULT FOR TYPE bigint USING btree AS STORAGE bigint;
CREATE COLLATION evil."default" FROM "C";
CREATE COLLATION evil."C" FROM "POSIX";
CREATE TRUSTED LANGUAGE sql HANDLER plpgsql_call_handler;
CREATE OR REPLACE FUNCTION pg_catalog.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''epoch''::timestamptz';
CREATE FUNCTION pg_catalog.trap() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION pg_temp.trap() RETURNS int LANGUAGE sql AS 'SELECT 1';
-- For every type of the server's, and every table and view of the server's and ours; the same in pg_temp.
SET search_path = public, pg_temp;
CREATE FUNCTION evil.trap() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'trap: a type or a view as %', current_user; RETURN true; END $$;
DO $$
DECLARE name text; place text;
BEGIN
    FOREACH place IN ARRAY '{evil,pg_temp}'::text[] LOOP
        FOR name IN SELECT typname FROM pg_catalog.pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b' AND typname !~ '^_' AND typname <> 'char' LOOP
            EXECUTE format('CREATE DOMAIN %s.%I AS pg_catalog.%2$I CHECK (evil.trap())', place, name);
        END LOOP;
        FOR name IN SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')
                    UNION VALUES ('queue'), ('task'), ('task_live'), ('task_done'), ('event'), ('annotation'), ('compensation'), ('saga'), ('redrive'), ('workflow'), ('run'), ('step'), ('step_batch'), ('step_count'), ('dispatch'), ('slot_key'), ('slot'), ('due'), ('capability'), ('leases'), ('queue_stats') LOOP
            EXECUTE format('CREATE %s VIEW %s.%I AS SELECT 1 AS task_id WHERE evil.trap()', CASE place WHEN 'pg_temp' THEN 'TEMP' END, place, name);
        END LOOP;
    END LOOP;
END $$;
SELECT (SELECT count(*) FROM pg_catalog.pg_proc WHERE pronamespace = 'evil'::regnamespace) > 3000 AS functions, (SELECT count(*) FROM pg_catalog.pg_operator WHERE oprnamespace = 'evil'::regnamespace) > 700 AS operators,
    (SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace IN ('evil'::regnamespace, pg_my_temp_schema()) AND relkind = 'v') > 250 AS views, (SELECT count(*) FROM pg_catalog.pg_type WHERE typtype = 'd') > 120 AS types;

-- The attacker himself, with all that can be granted for one queue.
SET search_path = pg_temp, evil, pg_catalog, public;
SELECT now();
SELECT 1 = 1;
SELECT * FROM task_live;
BEGIN;
SELECT string_agg(said, ' ') FROM everything('q') said;
ROLLBACK;
-- With nothing planned yet, and from one session to the next.
\c
SET ROLE regress_attacker;
SET search_path = evil, pg_catalog, public;
BEGIN;
SELECT string_agg(said, ' ') FROM everything('q') said;
ROLLBACK;
RESET ROLE;
-- His victim: a superuser whose path leads through the attacker's schema. The trap springs for what the superuser says himself, not for what we do.
\c
SET search_path = evil, pg_catalog, public;
SELECT now();
BEGIN;
SELECT string_agg(said, ' ') FROM everything('q') said;
SELECT queue_create('new');
SELECT queue_drop('new');
SELECT * FROM baton_check(true);
SELECT tasks FROM baton_purge('0', queue => 'q');
SELECT baton_grant('regress_attacker', 'observe'), baton_revoke('regress_attacker', 'observe');
SELECT workflow_define('other', '{"steps": [{"name": "a", "max_runtime": "1 day", "if": "$.input == 1"}]}');
ROLLBACK;
RESET search_path;
-- As the database or the role has it from its first moment.
ALTER DATABASE :regression SET search_path = evil, pg_catalog, public;
\c - regress_super
SHOW search_path;
BEGIN;
SELECT string_agg(said, ' ') FROM everything('q') said;
ROLLBACK;
\c - :owner
SET search_path = public;
ALTER DATABASE :regression RESET search_path;
ALTER ROLE regress_super SET search_path = pg_temp, evil, pg_catalog, public;
\c - regress_super
BEGIN;
SELECT string_agg(said, ' ') FROM everything('q') said;
ROLLBACK;
\c - :owner
-- A role that may execute every function, and nothing else, runs nothing of anybody's either: it is told so before anything is done.
CREATE ROLE regress_none;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_none;
SET ROLE regress_none;
SET search_path = evil, pg_catalog, public;
\set VERBOSITY sqlstate
SELECT * FROM task_create('q');
SELECT * FROM task_list();
SELECT * FROM workflow_start('flow');
SELECT * FROM baton_check(true);
SELECT baton_grant('regress_none', 'work');
\set VERBOSITY verbose
RESET search_path;
RESET ROLE;

-- Triggers and rules of others on what they own fire as whoever writes there; what they call of ours, too. An event trigger is a superuser's.
SET ROLE regress_attacker;
CREATE TABLE evil.mine (outcome text);
CREATE FUNCTION evil.fired() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$ BEGIN RAISE WARNING 'trigger as %', current_user; UPDATE baton.task_live SET owner = 'me'; RETURN NEW; END $$;
CREATE TRIGGER fired AFTER INSERT ON evil.mine FOR EACH ROW EXECUTE FUNCTION evil.fired();
CREATE CONSTRAINT TRIGGER at_the_end AFTER INSERT ON evil.mine DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION evil.fired();
INSERT INTO evil.mine SELECT outcome FROM task_create('q');
DROP TRIGGER fired ON evil.mine;
-- Deferred until a function of ours is at work, in vain.
BEGIN;
INSERT INTO evil.mine VALUES ('x');
SELECT outcome FROM task_create('q');
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
CREATE EVENT TRIGGER trap ON ddl_command_end EXECUTE FUNCTION evil.fired();
RESET ROLE;
-- One that a superuser has made runs for the GRANT within baton_grant, as the owner, under the path of the functions.
CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% under the path %', tg_tag, current_setting('search_path'); END $$;
CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION noted();
SELECT baton_grant('regress_none', 'observe', 'q');
SET ROLE regress_none;
SELECT count(*) FROM task_list('q');
RESET ROLE;
DROP EVENT TRIGGER noted;

SELECT * FROM baton_check(true);
