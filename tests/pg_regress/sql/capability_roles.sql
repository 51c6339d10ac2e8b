-- Whose capabilities count, since when, and what becomes of them when roles and queues change. What each of them lets a
-- role do is tested in capability_matrix.

SELECT queue_create('q'), queue_create('q2');
SELECT task_id AS t FROM task_create('q', key => 'q''s') \gset
SELECT task_id AS t2 FROM task_create('q2', key => 'q2''s') \gset

-- Membership: a role granted to the caller, also by way of another one.
CREATE ROLE regress_worker;
CREATE ROLE regress_app IN ROLE regress_worker;
CREATE ROLE regress_nested IN ROLE regress_app;
CREATE ROLE regress_noinherit NOINHERIT IN ROLE regress_worker;
CREATE ROLE regress_none;
SELECT baton_grant('regress_worker', 'work', 'q');
SET ROLE regress_nested;
SELECT key FROM task_get(:t);
SELECT key FROM task_get(:t2);
SELECT queue FROM baton.queue_stats;
-- One that does not inherit has what it was granted only as that role.
SET SESSION AUTHORIZATION regress_noinherit;
SELECT key FROM task_get(:t);
SELECT queue FROM baton.queue_stats;
SET ROLE regress_worker;
SELECT key FROM task_get(:t);
-- And the other way round: a role that was set has not what the session's user has.
SET SESSION AUTHORIZATION regress_nested;
SELECT key FROM task_get(:t);
RESET SESSION AUTHORIZATION;
SET ROLE regress_none;
SELECT key FROM task_get(:t);
RESET ROLE;
-- Several roles: what any of them has.
CREATE ROLE regress_producer;
SELECT baton_grant('regress_producer', 'produce', 'q2');
GRANT regress_producer TO regress_app;
SET ROLE regress_nested;
SELECT outcome FROM task_create('q2', key => 'new');
SELECT outcome FROM task_create('q', key => 'new');
SELECT key FROM task_get_by_key('q2', 'new');
RESET ROLE;
-- A membership that ends or begins counts with the next call, also in an open transaction, and not if it is rolled back.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL ROLE regress_nested;
SELECT count(*) FROM task_get(:t);
SET LOCAL ROLE NONE;
SAVEPOINT here;
REVOKE regress_worker FROM regress_app;
GRANT regress_worker TO regress_none;
SET LOCAL ROLE regress_none;
SELECT count(*) FROM task_get(:t);
SET LOCAL ROLE regress_nested;
SELECT count(*) FROM task_get(:t);
ROLLBACK TO here;
SET LOCAL ROLE regress_nested;
SELECT count(*) FROM task_get(:t);
SET LOCAL ROLE regress_none;
SELECT count(*) FROM task_get(:t);
ROLLBACK;

-- An application's own SECURITY DEFINER function has what its owner has, no less and no more.
CREATE FUNCTION look(id bigint) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT key FROM task_get(id)';
ALTER FUNCTION look OWNER TO regress_app;
SET ROLE regress_none;
SELECT look(:t), look(:t2);
RESET ROLE;
ALTER FUNCTION look OWNER TO regress_none;
SELECT look(:t);
DROP FUNCTION look;
-- Neither has its own what a caller has: a view's functions go by who asks.
CREATE VIEW live AS SELECT key FROM baton.leases;
GRANT SELECT ON live TO regress_worker, regress_none;
SELECT a.outcome FROM unnest(ARRAY[:t, :t2]) id, task_acquire_lease_by_id(id, 'w') a;
SELECT key FROM live;
SET ROLE regress_worker;
SELECT key FROM live;
SET ROLE regress_none;
SELECT key FROM live;
RESET ROLE;
DROP VIEW live;

-- Superusers and the owner of the extension, and their members, may do everything. Nobody else grants.
CREATE ROLE regress_super SUPERUSER;
CREATE ROLE regress_deputy;
GRANT :"USER" TO regress_deputy;
SET ROLE regress_super;
SELECT key FROM task_get(:t2);
SELECT baton_grant('regress_none', 'observe', 'q2'), baton_revoke('regress_none', 'observe', 'q2');
SET ROLE regress_deputy;
SELECT key FROM task_get(:t2);
SELECT baton_grant('regress_none', 'observe', 'q2'), baton_revoke('regress_none', 'observe', 'q2');
RESET ROLE;
REVOKE :"USER" FROM regress_deputy;
CREATE ROLE regress_all;
SELECT baton_grant('regress_all', c) FROM unnest(ARRAY['produce', 'work', 'observe', 'control', 'operate']) c;
GRANT EXECUTE ON FUNCTION baton_grant, baton_revoke TO regress_deputy;
SET ROLE regress_deputy;
SELECT baton_grant('regress_deputy', 'work');
SELECT baton_revoke('regress_all', 'work');
SET ROLE regress_all;
SELECT baton_grant('regress_none', 'work');
SELECT baton_revoke('regress_worker', 'work');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION baton_grant, baton_revoke FROM regress_deputy;

-- A grant or a revoke counts with the next call, in the same transaction as well; rolled back, it never was. The role
-- keeps EXECUTE for another queue's sake: it is the function that answers.
CREATE ROLE regress_maker;
SELECT baton_grant('regress_maker', 'produce', 'q');
BEGIN;
SET LOCAL ROLE regress_maker;
SELECT outcome FROM task_create('q');
SAVEPOINT a;
SELECT outcome FROM task_create('q2');
ROLLBACK TO a;
SET LOCAL ROLE NONE;
SELECT baton_grant('regress_maker', 'produce', 'q2');
SAVEPOINT b;
SET LOCAL ROLE regress_maker;
SELECT outcome FROM task_create('q2');
SET LOCAL ROLE NONE;
SELECT baton_revoke('regress_maker', 'produce', 'q');
SET LOCAL ROLE regress_maker;
SELECT outcome FROM task_create('q2');
SAVEPOINT c;
SELECT outcome FROM task_create('q');
ROLLBACK TO c;
ROLLBACK TO b;
SET LOCAL ROLE regress_maker;
SELECT a.outcome, b.outcome FROM task_create('q') a, task_create('q2') b;
ROLLBACK;
SET ROLE regress_maker;
SELECT outcome FROM task_create('q');
SELECT outcome FROM task_create('q2');
RESET ROLE;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL ROLE regress_maker;
SELECT outcome FROM task_create('q');
SET LOCAL ROLE NONE;
SELECT baton_revoke('regress_maker', 'produce');
SET LOCAL ROLE regress_maker;
SELECT outcome FROM task_create('q');
ROLLBACK;
SET ROLE regress_maker;
SELECT outcome FROM task_create('q');
RESET ROLE;
-- Within one statement, too; and in a loop that has planned its calls.
CREATE FUNCTION in_a_loop() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3 LOOP
        PERFORM set_config('role', 'regress_maker', true);
        BEGIN
            RETURN NEXT (SELECT outcome FROM task_create('q'));
        EXCEPTION WHEN insufficient_privilege THEN
            RETURN NEXT SQLERRM;
        END;
        PERFORM set_config('role', 'none', true);
        IF i = 1 THEN
            PERFORM baton_revoke('regress_maker', 'produce', 'q');
        ELSE
            PERFORM baton_grant('regress_maker', 'produce', 'q');
        END IF;
    END LOOP;
END $$;
SELECT * FROM in_a_loop();
DROP FUNCTION in_a_loop;

-- Given twice is given once. What was not given is not missed.
SELECT baton_grant('regress_maker', 'produce', 'q'), baton_grant('regress_maker', 'produce', 'q');
SELECT baton_grant('regress_maker', 'produce'), baton_grant('regress_maker', 'produce');
SELECT role_name, capability, queue_id IS NULL AS everywhere, count(*) FROM baton.capability WHERE role_name = 'regress_maker' GROUP BY 1, 2, 3 ORDER BY 3;
SELECT baton_revoke('regress_maker', 'work'), baton_revoke('regress_maker', 'work', 'q'), baton_revoke('regress_none', 'work', 'q');
-- It has all queues: one cannot be taken from them.
SELECT baton_revoke('regress_maker', 'produce', 'q2');
-- Also one that was given by itself: it would still be had.
SELECT baton_revoke('regress_maker', 'produce', 'q');
SELECT baton_revoke('regress_maker', 'produce', 'q');
SET ROLE regress_maker;
SELECT outcome FROM task_create('q');
RESET ROLE;
-- Without a queue: everywhere.
SELECT baton_grant('regress_maker', 'produce', 'q'), baton_revoke('regress_maker', 'produce');
SELECT * FROM baton.capability WHERE role_name = 'regress_maker';
SET ROLE regress_maker;
SELECT outcome FROM task_create('q');
RESET ROLE;
DROP ROLE regress_maker;

-- Errors; nothing is stored.
SELECT baton_grant('regress_nobody', 'work');
SELECT baton_grant('REGRESS_WORKER', 'work');
SELECT baton_grant('public', 'work');
SELECT baton_grant('regress_worker', 'works');
SELECT baton_grant('regress_worker', 'Work');
SELECT baton_grant('regress_worker', 'work', 'nowhere');
SELECT baton_grant('regress_worker', '');
SELECT baton_grant('', 'work');
SELECT baton_grant(repeat('r', 64), 'work');
SELECT baton_grant(repeat('r', 256), 'work');
SELECT baton_grant(NULL, 'work');
SELECT baton_grant('regress_worker', NULL);
SELECT baton_revoke('regress_nobody', 'work');
SELECT baton_revoke('regress_worker', 'works');
SELECT baton_revoke('regress_worker', 'work', 'nowhere');
SELECT baton_revoke(NULL, 'work');
SELECT baton_revoke('regress_worker', NULL);
BEGIN READ ONLY;
SELECT baton_grant('regress_worker', 'control');
ROLLBACK;

-- Any name that a role can have.
CREATE FUNCTION tried_by(role text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM set_config('role', role, true);
    BEGIN
        SELECT outcome INTO answer FROM task_create('q');
    EXCEPTION WHEN OTHERS THEN
        answer := SQLSTATE || ' ' || SQLERRM;
    END;
    PERFORM set_config('role', 'none', true);
    RETURN answer;
END $$;
BEGIN;
CREATE ROLE "regress_weird ""role"" ; DROP TABLE baton.task; --";
CREATE ROLE "regress_UPPER";
CREATE ROLE regress_upper;
CREATE ROLE "regress_Größe 漢字 🚀";
CREATE ROLE "regress_'quoted' \ $1 %s";
CREATE ROLE "select"; CREATE ROLE "user"; CREATE ROLE "current_user";
WITH name (role) AS (SELECT unnest(ARRAY['regress_weird "role" ; DROP TABLE baton.task; --', 'regress_UPPER', 'regress_Größe 漢字 🚀', 'regress_''quoted'' \ $1 %s', 'select', 'user', 'current_user']))
SELECT role, baton_grant(role, 'produce', 'q'), tried_by(role) FROM name;
SELECT tried_by('regress_upper');
-- A dump shows names.
SELECT role_name, capability, queue_id IS NULL AS everywhere FROM baton.capability ORDER BY role_name COLLATE "C", capability, queue_id;
SELECT obj, extcondition FROM (SELECT unnest(extconfig)::regclass::text AS obj, unnest(extcondition) AS extcondition FROM pg_extension WHERE extname = 'pg_baton') c WHERE obj = 'baton.capability';
SELECT baton_revoke('regress_weird "role" ; DROP TABLE baton.task; --', 'produce'), baton_revoke('select', 'produce', 'q'), baton_revoke('current_user', 'produce');
DROP ROLE "regress_weird ""role"" ; DROP TABLE baton.task; --", "select", "current_user";
ROLLBACK;

-- A renamed role is another one: it has nothing, and what stands under the old name can be taken back.
CREATE ROLE regress_before;
SELECT baton_grant('regress_before', 'produce', 'q'), tried_by('regress_before');
ALTER ROLE regress_before RENAME TO regress_after;
SELECT tried_by('regress_after');
SELECT baton_revoke('regress_before', 'produce');
SELECT baton_revoke('regress_before', 'produce');
SELECT baton_grant('regress_after', 'produce', 'q'), tried_by('regress_after');
SELECT baton_revoke('regress_after', 'produce');
DROP ROLE regress_after;

-- A role is not dropped before it was taken what it has; DROP OWNED takes the server's part.
CREATE ROLE regress_leaver;
SELECT baton_grant('regress_leaver', 'work', 'q'), baton_grant('regress_leaver', 'produce');
\set VERBOSITY terse
DROP ROLE regress_leaver;
\set VERBOSITY verbose
SELECT baton_revoke('regress_leaver', 'work');
SELECT baton_revoke('regress_leaver', 'produce');
DROP ROLE regress_leaver;
CREATE ROLE regress_leaver;
SELECT baton_grant('regress_leaver', 'work', 'q'), baton_grant('regress_leaver', 'produce');
DROP OWNED BY regress_leaver;
SELECT tried_by('regress_leaver');
DROP ROLE regress_leaver;
-- What it had stands there, and can be taken back, so that a role of that name begins with nothing.
SELECT role_name, capability FROM baton.capability WHERE role_name = 'regress_leaver' ORDER BY capability;
SELECT baton_revoke('regress_leaver', 'work', 'q'), baton_revoke('regress_leaver', 'produce');
SELECT baton_revoke('regress_leaver', 'work');
CREATE ROLE regress_leaver;
SELECT baton_grant('regress_leaver', 'observe', 'q'), tried_by('regress_leaver');
SELECT baton_revoke('regress_leaver', 'observe');
DROP ROLE regress_leaver;

-- A dropped queue takes with it what was granted for it alone; created again, it begins without.
SELECT queue_create('brief');
CREATE ROLE regress_brief;
CREATE ROLE regress_more;
SELECT baton_grant('regress_brief', 'work', 'brief'), baton_grant('regress_more', 'work', 'brief'), baton_grant('regress_more', 'work', 'q'), baton_grant('regress_brief', 'operate', 'brief');
SET ROLE regress_more;
SELECT * FROM task_acquire_lease('brief', 'w');
SET ROLE regress_brief;
-- By a role that itself has it for that queue only.
SELECT queue_drop('brief');
SELECT queue_drop('brief');
SELECT * FROM task_acquire_lease('brief', 'w');
SET ROLE regress_more;
SELECT * FROM task_acquire_lease('brief', 'w');
SELECT queue FROM baton.queue_stats;
RESET ROLE;
SELECT role_name, capability FROM baton.capability WHERE role_name IN ('regress_brief', 'regress_more');
DROP ROLE regress_brief;
SELECT queue_create('brief');
SET ROLE regress_more;
SELECT * FROM task_acquire_lease('brief', 'w');
RESET ROLE;
-- An operator of one queue learns nothing about another one when it cannot be dropped.
CREATE ROLE regress_operator;
SELECT queue_create('secret', on_final_queue => 'brief');
SELECT baton_grant('regress_operator', 'operate', 'brief');
SET ROLE regress_operator;
SELECT queue_drop('brief');
RESET ROLE;
SELECT queue_drop('brief');

-- The views. A condition of the caller's sees one's own rows only, however cheap it is.
CREATE FUNCTION saw(text) RETURNS boolean COST 0.000001 LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'saw %', $1;
    RETURN true;
END $$;
SET ROLE regress_worker;
SELECT queue FROM baton.queue_stats WHERE saw(queue);
SELECT queue, key FROM baton.leases WHERE saw(queue) AND saw(key) AND saw(owner);
SELECT l.key FROM (VALUES ('q2''s'), ('q''s')) v (key) JOIN baton.leases l ON saw(l.key) AND l.key = v.key;
SELECT key FROM baton.leases WHERE 1 / (CASE WHEN key = 'q2''s' THEN 0 ELSE 1 END) = 1;
SELECT queue FROM baton.queue_stats WHERE 1 / (CASE WHEN queue = 'q2' THEN 0 ELSE 1 END) = 1;
SELECT queue FROM baton.queue_stats ORDER BY saw(queue);
SELECT max(queue) FILTER (WHERE saw(queue)) FROM baton.queue_stats;
RESET ROLE;
SELECT slot_set(key, 1) FROM unnest(ARRAY['key of q', 'key of q2', 'key of none']) key;
SELECT t.outcome FROM unnest(ARRAY['q', 'q2']) queue, task_create(queue, slot_keys => ARRAY['key of ' || queue]) t;
SET ROLE regress_worker;
SELECT slot_key, holders FROM baton.slot_usage WHERE saw(slot_key);
SELECT slot_key FROM baton.slot_usage WHERE 1 / (CASE WHEN slot_key = 'key of q2' THEN 0 ELSE 1 END) = 1;
-- A prepared statement and a cursor go by who runs them.
PREPARE seen AS SELECT queue FROM baton.queue_stats ORDER BY 1;
EXECUTE seen;
RESET ROLE;
EXECUTE seen;
SET ROLE regress_more;
EXECUTE seen;
SET ROLE regress_none;
EXECUTE seen;
RESET ROLE;
-- Privileges of the server's that were granted by hand let nobody see anything.
GRANT USAGE ON SCHEMA baton TO regress_none;
GRANT SELECT ON baton.leases, baton.queue_stats, baton.slot_usage, baton.workflow_progress TO regress_none;
SET ROLE regress_none;
SELECT * FROM baton.leases;
SELECT * FROM baton.queue_stats;
SELECT * FROM baton.slot_usage;
SELECT * FROM baton.workflow_progress;
RESET ROLE;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA baton, public TO regress_none;
SET ROLE regress_none;
SELECT * FROM baton.leases;
SELECT * FROM baton.queue_stats;
SELECT * FROM baton.slot_usage;
SELECT * FROM baton.workflow_progress;
SELECT count(*) FROM task_list();
SELECT count(*) FROM task_compensations(1);
SELECT count(*) FROM workflow_compensations(1);
SELECT slot_set('key of q', 2);
SELECT baton._queues_seen();
RESET ROLE;
-- Not even that there is nothing to see.
SELECT f.outcome FROM baton.leases l, task_cancel(l.task_id, force => true) f;
SET ROLE regress_none;
SELECT * FROM baton.leases;
RESET ROLE;
DROP OWNED BY regress_none;

-- In a schema of its own, which the role may not use: the grant adds that, and the last revoke takes it back.
DROP FUNCTION tried_by, saw;
DROP OWNED BY regress_worker, regress_producer, regress_all, regress_more, regress_operator;
DROP EXTENSION pg_baton;
CREATE SCHEMA "Baton API";
CREATE EXTENSION pg_baton WITH SCHEMA "Baton API";
SELECT "Baton API".baton_grant('regress_worker', 'produce', 'default');
SET ROLE regress_nested;
SELECT outcome FROM "Baton API".task_create('default');
SELECT * FROM "Baton API".task_list();
SET ROLE regress_none;
SELECT outcome FROM "Baton API".task_create('default');
RESET ROLE;
SELECT "Baton API".baton_revoke('regress_worker', 'produce');
SET ROLE regress_worker;
SELECT outcome FROM "Baton API".task_create('default');
RESET ROLE;
\set VERBOSITY terse
DROP ROLE regress_worker;
