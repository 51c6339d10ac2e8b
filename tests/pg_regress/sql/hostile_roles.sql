-- Roles that change under way, that have strange names, that are gone; and what somebody may learn of tasks that are not
-- his own: nothing, by no function, message or key.

SELECT queue_create('q', lease_ttl => '1 h');
SELECT queue_create('secret', lease_ttl => '1 h');
SELECT slot_set('key', 1);
CREATE ROLE regress_app;
CREATE ROLE regress_login LOGIN;
SELECT baton_grant('regress_app', c, 'q') FROM unnest('{produce,work,observe,control,operate}'::text[]) c;
-- What is foreign: a task that waits, one that runs, one that has ended, a run, a key, a dedup key.
SELECT task_id AS waits FROM task_create('secret', '{"password": 1}', name => 'secret name', key => 'secret key', metadata => '{"m": 1}') \gset
SELECT task_id AS runs FROM task_create('secret') \gset
SELECT outcome, lease_token AS token FROM task_acquire_lease_by_id(:runs, 'secret owner') \gset
SELECT outcome FROM task_append_event(:runs, 'note', '1', :token, 'dedup');
SELECT outcome FROM task_register_compensation(:runs, :token, 'undo', 'secret');
SELECT task_id AS ended FROM task_create('secret') \gset
SELECT outcome FROM task_cancel(:ended, 'secret reason');
SELECT run_id AS run FROM workflow_start(key => 'secret run', definition => '{"steps": [{"name": "s", "queue": "secret"}]}', input => '{"password": 1}') \gset
SELECT task_id AS item, run_id AS items FROM task_create_items('secret', 'g', '{1,2}') LIMIT 1 \gset
SELECT task_id AS own FROM task_create('q', key => 'own') \gset

-- Every function that takes an id of a task or a run, called with foreign ones and with one that is nobody's: the answers are the same, word for word.
CREATE TABLE good AS SELECT * FROM (VALUES ('lease_token', :'token'), ('lease_tokens', '{' || :'token' || '}'), ('queue', 'q'), ('name', 'g'), ('owner', 'w'), ('kind', 'x'), ('kinds', '{x}'), ('state', 'completed'), ('states', '{completed}'), ('successor', 's'), ('bodies', '{1}'), ('metadata', '{}'),
    ('checkpoint', 'here'), ('dedup_key', 'dedup'), ('payloads', '{1}')) g (argument, value);
GRANT SELECT ON good TO regress_app;
GRANT CREATE ON SCHEMA public TO regress_app;
CREATE FUNCTION answer(f regproc, argument text, id bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE call text; said text; d text; h text;
BEGIN
    SELECT format('SELECT string_agg(a::text, ''; '') FROM %s(%s) a', f, string_agg(format('%I => %L::%s', a.name, CASE WHEN a.name <> answer.argument THEN g.value WHEN a.name = 'task_ids' THEN '{' || id || '}' ELSE id::text END, format_type(a.t, NULL)), ', ')) INTO call
    FROM pg_proc p, unnest(p.proargnames, p.proargtypes::oid[]) WITH ORDINALITY a (name, t, n) LEFT JOIN good g ON g.argument = a.name
    WHERE p.oid = f AND n <= p.pronargs AND (a.name = answer.argument OR n <= p.pronargs - p.pronargdefaults OR a.name IN ('lease_token', 'dedup_key'));
    EXECUTE call INTO said;
    RETURN coalesce(regexp_replace(said, '\m' || id || '\M', '…', 'g'), 'no row');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || regexp_replace(concat_ws('. ', '', SQLERRM, NULLIF(d, ''), NULLIF(h, '')), '\m' || id || '\M', '…', 'g');
END $$;
CREATE TABLE told (function text, argument text, what text, said text);
GRANT INSERT, SELECT ON told TO regress_app;
CREATE TABLE objects AS SELECT * FROM (VALUES ('task', 'nobody''s', 9007199254740991), ('task', 'waits', :waits), ('task', 'runs', :runs), ('task', 'ended', :ended), ('task', 'item', :item), ('task', 'run', :run), ('run', 'nobody''s', 9007199254740991), ('run', 'run', :run), ('run', 'items', :items), ('run', 'waits', :waits)) o (kind, what, id);
GRANT SELECT ON objects TO regress_app;
SET ROLE regress_app;
INSERT INTO told SELECT p.oid::regproc, a.name, o.what, answer(p.oid, a.name, o.id) FROM pg_proc p, unnest(p.proargnames) WITH ORDINALITY a (name, n), objects o
WHERE p.pronamespace = 'public'::regnamespace AND p.probin = 'pg_baton' AND a.n <= p.pronargs AND a.name IN ('task_id', 'task_ids', 'run_id') AND o.kind = CASE a.name WHEN 'run_id' THEN 'run' ELSE 'task' END;
\pset format unaligned
SELECT function, argument, said, count(*) FROM told GROUP BY function, argument, said ORDER BY function COLLATE "C", argument, said COLLATE "C";
\pset format aligned
-- Where is what is said of a foreign one not what is said of nobody's?
SELECT t.function, t.argument, t.what, t.said FROM told t JOIN told n USING (function, argument) WHERE n.what = 'nobody''s' AND t.said <> n.said ORDER BY 1, 2, 3;
-- By name, key, owner, in lists and views: nothing foreign, and no error that depends on it. A foreign key is free in one's own queue.
SELECT outcome FROM task_create('q', '{"other": 1}', key => 'secret key');
SELECT outcome FROM task_create('secret', key => 'secret key');
SELECT outcome FROM task_create('nowhere', key => 'secret key');
SELECT count(*) FROM task_get_by_key('secret', 'secret key');
SELECT count(*) FROM task_get_by_key('nowhere', 'secret key');
SELECT count(*) FROM task_list(owner => 'secret owner');
SELECT count(*) FROM task_list('secret');
SELECT count(*) FROM task_list(name => 'secret name');
SELECT count(*) FROM task_reap_owner('secret owner', 9007199254740991);
SELECT count(*) FROM task_acquire_lease('secret', 'w');
SELECT outcome FROM task_dispatch_successor(:own, 's', 'secret');
SELECT outcome FROM task_dispatch_successor(:own, 's', 'nowhere');
SELECT queue_alter('q', on_final_queue => 'secret');
SELECT queue_alter('q', on_final_queue => 'nowhere');
SELECT queue_create('secret');
SELECT queue_create('not there yet');
SELECT queue_drop('secret');
SELECT queue_drop('nowhere');
SELECT * FROM baton_purge('0', queue => 'secret');
SELECT outcome FROM workflow_start(key => 'secret run', definition => '{"steps": [{"name": "s", "queue": "q"}]}');
SELECT outcome FROM workflow_start(key => 'another', definition => '{"steps": [{"name": "s", "queue": "secret"}]}');
SELECT outcome FROM workflow_start(key => 'another', definition => '{"steps": [{"name": "s", "queue": "nowhere"}]}');
SELECT queue FROM baton.queue_stats;
SELECT count(*) FROM baton.leases;
SELECT count(*) FROM baton.workflow_progress;
SELECT outcome FROM task_create_items('q', 'g2', '{1}', key => 'secret run');
SELECT slot_key, holders FROM baton.slot_usage;
-- Below the functions: the tables, their statistics, the sequences, the private functions, a COPY.
SELECT * FROM baton.task;
COPY baton.task TO STDOUT;
SELECT count(*) FROM pg_stats WHERE schemaname = 'baton';
SELECT last_value FROM baton.token_seq;
SELECT nextval('baton.id_seq');
SELECT baton._document(:run, '{s}');
SELECT baton._evaluate(:run, '{}', NULL, NULL, NULL, '[]', 1, 1, 1);
BEGIN;
LOCK TABLE baton.task_live IN ACCESS EXCLUSIVE MODE;
ROLLBACK;
SELECT pg_get_viewdef('baton.leases') IS NOT NULL AS definitions_are_no_secret;
CREATE TABLE baton.mine ();
CREATE TABLE public.mine (t bigint REFERENCES baton.task);
RESET ROLE;

-- A SECURITY DEFINER function of an application does what its owner may, on whoever's behalf; SET ROLE within is not allowed; what it calls sees its owner.
CREATE FUNCTION on_behalf(id bigint) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN current_user || ' ' || (SELECT outcome FROM task_annotate(id, jsonb_build_object('by', session_user = 'regress_login'))); END $$;
ALTER FUNCTION on_behalf OWNER TO regress_app;
CREATE FUNCTION climbs() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM task_create('q'); SET ROLE postgres; END $$;
ALTER FUNCTION climbs OWNER TO regress_app;
SET SESSION AUTHORIZATION regress_login;
SELECT on_behalf(:own), on_behalf(:waits);
SELECT climbs();
SELECT outcome FROM task_create('q');
SET ROLE regress_app;
RESET SESSION AUTHORIZATION;
SELECT a.role, a.metadata FROM task_annotations(:own) a;
-- An error in the middle of a function, or a cancelled one, leaves nobody with the owner's rights.
BEGIN;
SELECT outcome FROM task_annotate(:own, '{"a": 1}');
PREPARE TRANSACTION 'regress_baton';
SET SESSION AUTHORIZATION regress_login;
SET statement_timeout = '100 ms';
SELECT on_behalf(:own);
RESET statement_timeout;
SELECT current_user, session_user;
SELECT count(*) FROM baton.task;
DO $$ BEGIN PERFORM on_behalf(NULL); EXCEPTION WHEN OTHERS THEN RAISE NOTICE '% as %', SQLSTATE, current_user; PERFORM count(*) FROM baton.task; END $$;
RESET SESSION AUTHORIZATION;
ROLLBACK PREPARED 'regress_baton';
-- NOINHERIT: one must become the role; membership alone does nothing. (The server says the same of its own privileges.)
CREATE ROLE regress_noinherit NOINHERIT;
GRANT regress_app TO regress_noinherit;
SET ROLE regress_noinherit;
SELECT outcome FROM task_create('q');
SET ROLE regress_app;
SELECT outcome FROM task_create('q', key => 'as app');
RESET ROLE;
-- A role in whose name a lease is held, or a capability, is dropped, renamed, made anew with the same name: leases go on, rights do not come back by themselves.
CREATE ROLE regress_holder;
SELECT baton_grant('regress_holder', c, 'q') FROM unnest('{work,control}'::text[]) c;
SET ROLE regress_holder;
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('q', 'held by a role') \gset
RESET ROLE;
\set VERBOSITY sqlstate
DROP ROLE regress_holder;
\set VERBOSITY verbose
DROP OWNED BY regress_holder;
DROP ROLE regress_holder;
CREATE ROLE regress_holder;
SET ROLE regress_holder;
SELECT outcome FROM task_heartbeat(:t, :l, '2 h');
RESET ROLE;
SELECT outcome FROM task_heartbeat(:t, :l, '2 h');
-- EXECUTE that comes back by another's GRANT brings back what is still written down: so the owner takes it away (docs/operations.md), and then it does not.
SELECT baton_revoke('regress_holder', c) FROM unnest('{work,control}'::text[]) c;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_holder;
SET ROLE regress_holder;
SELECT outcome FROM task_heartbeat(:t, :l, '2 h');
RESET ROLE;
-- Names that must be quoted, are as long as a name can be, look like another's, or are a keyword: rights are theirs alone.
DO $$
DECLARE name text; said text;
BEGIN
    FOREACH name IN ARRAY ARRAY['regress_"x"', 'regress_''; DROP TABLE baton.task; --', 'regress_%s %I $1', E'regress_a\nb', 'regress_Ä漢🚀', rpad('regress_', 63, 'x'), 'regress_ public', 'regress_' || U&'\202E' || 'x', 'Regress_App', 'regress_app '] LOOP
        EXECUTE format('CREATE ROLE %I', name);
        PERFORM set_config('role', name, true);
        BEGIN said := (SELECT outcome FROM task_create('q')); EXCEPTION WHEN OTHERS THEN said := SQLSTATE; END;
        PERFORM set_config('role', 'none', true);
        PERFORM baton_grant(name, 'control', 'q'), baton_grant(name, 'observe', 'q');
        PERFORM set_config('role', name, true);
        said := said || ' ' || (SELECT outcome FROM task_annotate((SELECT min(task_id) FROM task_list('q')), '{}')) || ' ' || (SELECT count(*) FROM baton.queue_stats);
        PERFORM set_config('role', 'none', true);
        said := said || ' ' || (SELECT count(*) FROM baton.annotation a WHERE a.role = name);
        PERFORM baton_revoke(name, 'control'), baton_revoke(name, 'observe');
        PERFORM set_config('role', name, true);
        BEGIN said := said || ' ' || (SELECT count(*) FROM task_list('q')); EXCEPTION WHEN OTHERS THEN said := said || ' ' || SQLSTATE; END;
        PERFORM set_config('role', 'none', true);
        RAISE NOTICE '%: %', length(name), said;
        EXECUTE format('DROP ROLE %I', name);
    END LOOP;
END $$;
SELECT baton_grant(rpad('regress_', 64, 'x'), 'work');
SELECT baton_grant('none', 'work');
SELECT baton_grant('pg_read_all_data', 'observe', 'q');
SELECT baton_revoke('pg_read_all_data', 'observe', 'q');
-- The server's own roles that see or signal everything have no capability by that.
CREATE ROLE regress_monitor IN ROLE pg_monitor, pg_read_all_data, pg_write_all_data;
SET ROLE regress_monitor;
SELECT outcome FROM task_create('q');
SELECT count(*) FROM baton.leases;
DELETE FROM baton.task_live;
UPDATE baton.capability SET role_name = 'regress_monitor';
INSERT INTO baton.capability (role_name, capability, uses_schema) VALUES ('regress_monitor', 'operate', false);
SELECT queue_create('by insert');
SELECT count(*) > 0 AS reads_all_data FROM baton.task;
RESET ROLE;
-- A role that may create roles (but is no superuser) makes no member of the owner's.
CREATE ROLE regress_creator CREATEROLE;
SET ROLE regress_creator;
\set VERBOSITY sqlstate
SELECT baton_grant('regress_creator', 'operate');
GRANT postgres TO regress_creator;
\set VERBOSITY verbose
RESET ROLE;
SELECT * FROM baton_check(true);
