-- Our functions where nobody would expect them: in constraints, indexes, policies, views, cursors, procedures, parallel
-- plans, two-phase transactions. They act for whoever's rights apply there, once, or not at all.

SELECT queue_create('q', lease_ttl => '1 h');
CREATE ROLE regress_app;
CREATE ROLE regress_other;
SELECT current_database() AS regression \gset
GRANT CREATE ON DATABASE :regression TO regress_app;
GRANT CREATE ON SCHEMA public TO regress_app;
SELECT baton_grant('regress_app', c, 'q') FROM unnest('{produce,work,observe}'::text[]) c;
CREATE FUNCTION tasks() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT count(*) FROM baton.task';
CREATE FUNCTION made(key text) RETURNS text LANGUAGE sql AS 'SELECT outcome FROM public.task_create(''q'', key => key)';

-- What only looks at a statement does nothing: EXPLAIN, PREPARE, a plan that is thrown away, constant arguments, LIMIT 0, false conditions.
EXPLAIN (COSTS OFF) SELECT outcome FROM task_create('q');
EXPLAIN (COSTS OFF) SELECT made('constant') = 'created' WHERE made('x') IS NOT NULL;
PREPARE p AS SELECT outcome FROM task_create('q', key => 'prepared');
EXPLAIN (COSTS OFF) EXECUTE p;
SELECT outcome FROM task_create('q') LIMIT 0;
SELECT 1 WHERE false AND made('never') = 'created';
SELECT CASE WHEN true THEN 'short' ELSE made('never') END;
SELECT coalesce('first', made('never'));
SELECT tasks();
-- Once each, however often it is looked at: LIMIT in the middle of its rows, EXPLAIN ANALYZE, a join that reads it twice.
SELECT outcome FROM task_create_many('q', '{1,2,3}') LIMIT 1;
SELECT tasks();
\o /dev/null
EXPLAIN ANALYZE SELECT outcome FROM task_create('q');
\o
SELECT tasks();
SELECT count(*) FROM generate_series(1, 3) n LEFT JOIN task_create('q', key => 'once') c ON true;
WITH c AS MATERIALIZED (SELECT * FROM task_create('q', key => 'cte')) SELECT a.outcome, b.outcome FROM c a, c b;
SELECT tasks();

-- In a CHECK constraint, a default, a generated column, an index expression, a partition key, a rule.
CREATE TABLE checked (k text CHECK (made(k) = 'created'));
INSERT INTO checked VALUES ('check 1');
INSERT INTO checked VALUES ('check 1');
CREATE TABLE defaulted (k text, outcome text DEFAULT made('default'));
INSERT INTO defaulted VALUES ('x'), ('y');
SELECT * FROM defaulted;
CREATE TABLE generated (k text, outcome text GENERATED ALWAYS AS (made(k)) STORED);
CREATE FUNCTION said_immutable(key text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT outcome FROM public.task_create(''q'', key => key)); END';
CREATE TABLE generated (k text, outcome text GENERATED ALWAYS AS (said_immutable(k)) STORED);
INSERT INTO generated VALUES ('generated 1');
SELECT * FROM generated;
CREATE INDEX ON checked (made(k));
CREATE INDEX ON checked (said_immutable('index ' || k));
INSERT INTO checked VALUES ('check 2');
SELECT key, count(*) FROM task_list('q') WHERE key ~ 'index|check|generated|default' GROUP BY key ORDER BY key;
-- The planner computes what says that it is immutable; a lie about that is its maker's, and is undone with his transaction.
BEGIN;
EXPLAIN (COSTS OFF) SELECT said_immutable('planned');
SELECT count(*) FROM task_get_by_key('q', 'planned');
ROLLBACK;
SELECT count(*) FROM task_get_by_key('q', 'planned');
CREATE RULE instead AS ON INSERT TO defaulted DO ALSO SELECT outcome FROM task_create('q', key => NEW.k);
INSERT INTO defaulted VALUES ('by rule', 'x');

-- A trap for a superuser: an index and a materialized view of somebody's who may do less. They act as their owner.
SET ROLE regress_app;
CREATE TABLE trap (k text);
INSERT INTO trap VALUES ('a');
CREATE FUNCTION tries(k text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'as %', current_user;
    BEGIN PERFORM public.queue_create('of ' || k); EXCEPTION WHEN OTHERS THEN RAISE NOTICE '% %', SQLSTATE, SQLERRM; END;
    BEGIN PERFORM public.baton_grant('regress_app', 'operate'); EXCEPTION WHEN OTHERS THEN RAISE NOTICE '% %', SQLSTATE, SQLERRM; END;
    BEGIN RESET ROLE; RAISE NOTICE 'as %', current_user; EXCEPTION WHEN OTHERS THEN RAISE NOTICE '% %', SQLSTATE, SQLERRM; END;
    RETURN (SELECT outcome FROM public.task_create('q', key => 'by trap ' || k));
END $$;
CREATE FUNCTION trapped(k text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.tries(k); END $$;
CREATE INDEX trap_index ON trap (trapped(k));
CREATE MATERIALIZED VIEW trap_view AS SELECT public.tries('view ' || k) FROM trap WITH NO DATA;
RESET ROLE;
REINDEX INDEX trap_index;
REFRESH MATERIALIZED VIEW trap_view;
ANALYZE trap;
SELECT * FROM trap_view;
SELECT name FROM baton.queue ORDER BY 1;
DROP TABLE trap CASCADE;
-- A policy that leases and creates for who reads: it may do what that one may.
CREATE TABLE rows (k text);
INSERT INTO rows VALUES ('r1');
ALTER TABLE rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON rows USING (made('policy ' || k) = 'created');
GRANT SELECT ON rows TO regress_app, regress_other;
SET ROLE regress_app;
SELECT * FROM rows;
SELECT * FROM rows;
SET ROLE regress_other;
SELECT * FROM rows;
RESET ROLE;
-- So in a view, whose functions go by who reads; with security_barrier, too.
CREATE VIEW looking WITH (security_barrier) AS SELECT key, state FROM task_list('q') WHERE key ~ '^policy';
GRANT SELECT ON looking TO regress_app, regress_other;
SET ROLE regress_app;
SELECT * FROM looking;
SET ROLE regress_other;
SELECT * FROM looking;
RESET ROLE;

-- Never in a parallel worker, whatever the caller's function says of itself.
CREATE FUNCTION said_safe(key text) RETURNS text PARALLEL SAFE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT outcome FROM public.task_create(''q'', key => key)); END';
CREATE FUNCTION look_safe(id bigint) RETURNS text PARALLEL SAFE STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM public.task_get(id)); END';
CREATE TABLE many AS SELECT n FROM generate_series(1, 20000) n;
ANALYZE many;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT n, said_safe('parallel') FROM many WHERE n = 1;
\set VERBOSITY sqlstate
SELECT n, said_safe('parallel') FROM many WHERE n = 1;
\set VERBOSITY verbose
SELECT look_safe((SELECT min(task_id) FROM baton.task)) FROM many WHERE n = 1;
SELECT count(*) FROM task_get_by_key('q', 'parallel');
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size; RESET max_parallel_workers_per_gather; RESET parallel_leader_participation;
SELECT state FROM task_get((SELECT min(task_id) FROM baton.task));

-- Cursors: WITH HOLD keeps what was answered, not the lease's validity; a rolled back one keeps nothing.
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT outcome, task_id FROM task_create_many('q', '{1,2,3}', keys => '{h1,h2,h3}');
FETCH 1 FROM held \gset
COMMIT;
SELECT count(*) AS before FROM task_list('q') WHERE key ~ '^h[123]$';
\o /dev/null
FETCH ALL FROM held;
\o
SELECT count(*) FROM task_list('q') WHERE key ~ '^h[123]$';
CLOSE held;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT outcome FROM task_create('q', key => 'cursor');
FETCH c;
FETCH PRIOR FROM c;
FETCH FIRST FROM c;
FETCH FIRST FROM c;
SAVEPOINT s;
DECLARE d CURSOR FOR SELECT outcome FROM task_create('q', key => 'in savepoint');
FETCH d;
ROLLBACK TO s;
FETCH c;
FETCH d;
ROLLBACK;
SELECT count(*) FROM task_list('q') WHERE key IN ('cursor', 'in savepoint');
-- COPY out of a function, and into a table with a trigger that calls one.
COPY (SELECT outcome FROM task_create_many('q', '{1,2}') ORDER BY 1) TO STDOUT;
CREATE TABLE inbox (k text, outcome text);
CREATE FUNCTION received() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.outcome := (SELECT outcome FROM public.task_create('q', key => NEW.k)); RETURN NEW; END $$;
CREATE TRIGGER received BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION received();
COPY inbox (k) FROM STDIN;
copied 1
copied 1
copied 2
\.
SELECT * FROM inbox;
COPY inbox (k) FROM STDIN;
copied 3
\.
COPY inbox (k) FROM STDIN;
copied 4
a	b	too many
\.
SELECT key FROM task_list('q') WHERE key ~ '^copied' ORDER BY key;
-- A role in a trigger: the one that writes, not the owner of the table.
GRANT INSERT ON inbox TO regress_other;
SET ROLE regress_other;
INSERT INTO inbox VALUES ('by other');
RESET ROLE;
-- MERGE and data-modifying WITH.
WITH w AS (INSERT INTO inbox VALUES ('with 1') RETURNING k, outcome), t AS (SELECT w.k, c.outcome FROM w, task_create('q', key => w.k) c) SELECT w.outcome, t.outcome FROM w, t;
MERGE INTO inbox i USING (VALUES ('with 1'), ('merged')) v (k) ON i.k = v.k WHEN NOT MATCHED THEN INSERT (k) VALUES (v.k) WHEN MATCHED THEN UPDATE SET outcome = made('never');
SELECT k, outcome FROM inbox ORDER BY k;

-- Procedures and DO blocks that commit and roll back between calls; a cursor loop over one of our functions.
CREATE PROCEDURE batches() LANGUAGE plpgsql AS $$
DECLARE t record;
BEGIN
    FOR i IN 1..3 LOOP
        PERFORM task_create('q', key => 'batch ' || i);
        IF i % 2 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
    END LOOP;
    FOR t IN SELECT outcome, task_id FROM task_create_many('q', '{1,2,3}', keys => '{l1,l2,l3}') LOOP
        COMMIT;
    END LOOP;
END $$;
CALL batches();
SELECT key FROM task_list('q') WHERE key ~ '^(batch|l[123])' ORDER BY key;
BEGIN;
CALL batches();
ROLLBACK;
DO $$
DECLARE l record;
BEGIN
    FOR l IN SELECT * FROM task_acquire_lease('q', 'loop', max_tasks => 3) LOOP
        PERFORM task_finalize(l.task_id, l.lease_token, 'completed');
        COMMIT;
    END LOOP;
    PERFORM task_create('q', key => 'before the error');
    RAISE EXCEPTION 'after three commits';
END $$;
SELECT count(*) FILTER (WHERE owner = 'loop') AS held, (SELECT count(*) FROM task_list('q', '{completed}')) AS completed, (SELECT count(*) FROM task_get_by_key('q', 'before the error')) AS undone FROM baton.leases;
-- Errors that are caught, again and again: what came before stands, what raised left nothing.
DO $$
DECLARE caught int := 0;
BEGIN
    FOR i IN 1..200 LOOP
        BEGIN
            PERFORM task_create('q', key => 'caught ' || i);
            PERFORM task_create(CASE WHEN i % 2 = 0 THEN 'nowhere' ELSE 'q' END);
            PERFORM task_create('q', priority => 99) WHERE i % 3 = 0;
        EXCEPTION WHEN undefined_object OR invalid_parameter_value THEN caught := caught + 1;
        END;
    END LOOP;
    RAISE NOTICE '% caught, % stand', caught, (SELECT count(*) FROM task_list('q', max_tasks => 1000) WHERE key ~ '^caught');
END $$;
-- Deep recursion into our functions from our own rows, and no end to it.
CREATE FUNCTION again(n int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT string_agg(again(n + 1), '') FROM task_create('q')); END $$;
\set VERBOSITY sqlstate
SELECT again(1);
\set VERBOSITY verbose
SELECT count(*) FROM task_acquire_lease('q', 'w');

-- Two phases: what was prepared is neither there nor lost, holds its lease and its locks, and ends as somebody else says.
SELECT task_id AS t, outcome FROM task_create('q', key => 'two phases') \gset
BEGIN;
SELECT outcome, lease_token AS l FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT outcome FROM task_start(:t, :l);
SELECT outcome FROM task_create('q', key => 'prepared too');
PREPARE TRANSACTION 'regress_baton';
SELECT state FROM task_get(:t);
SET lock_timeout = '50ms';
SELECT outcome FROM task_cancel(:t);
SELECT outcome FROM task_create('q', key => 'prepared too');
RESET lock_timeout;
\c
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 1000) WHERE task_id = :t;
COMMIT PREPARED 'regress_baton';
SELECT state, owner, lease_token = :l AS same FROM task_get(:t);
SELECT outcome FROM task_finalize(:t, :l, 'completed');
BEGIN;
SELECT outcome FROM task_create('q', key => 'rolled back');
SELECT run_id AS r, outcome FROM workflow_start(definition => '{"steps": [{"name": "s", "queue": "q"}]}') \gset
PREPARE TRANSACTION 'regress_baton';
ROLLBACK PREPARED 'regress_baton';
SELECT count(*) FROM task_get_by_key('q', 'rolled back');
SELECT count(*) FROM workflow_get(:r);
SELECT name FROM task_acquire_lease('q', 'w');
-- A capability, granted in two phases.
BEGIN;
SELECT baton_grant('regress_other', 'produce', 'q');
PREPARE TRANSACTION 'regress_baton';
SET ROLE regress_other;
SELECT outcome FROM task_create('q');
RESET ROLE;
COMMIT PREPARED 'regress_baton';
SET ROLE regress_other;
SELECT outcome FROM task_create('q');
RESET ROLE;

-- Notifications: none of ours, and a flood of somebody's beside it.
LISTEN baton;
SELECT count(outcome) FROM generate_series(1, 200) n, task_create('q') c, LATERAL (SELECT pg_notify('other', n || repeat('x', 7000))) flood;
SELECT count(*) FROM pg_listening_channels();
UNLISTEN *;

SELECT * FROM baton_check(true);
