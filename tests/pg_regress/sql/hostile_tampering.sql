-- A superuser who alters what is ours: the functions go on, or say what is the matter; the server lives, and what was altered
-- can be put right.

SELECT queue_create('q', lease_ttl => '1 h');
SELECT slot_set('key', 2);
SELECT workflow_define('flow', '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input", "max_parallel": 1, "payload": {"it": "$.item"}}, {"name": "b", "queue": "q", "needs": ["a"]}]}');
-- One life of a task and a run in the same session, which keeps plans and what it knows of the tables.
CREATE FUNCTION life() RETURNS text LANGUAGE plpgsql AS $$
DECLARE t bigint; l bigint; r bigint; said text[];
BEGIN
    SELECT c.task_id INTO t FROM task_create('q', '{"n": 1}', slot_keys => '{key}', priority => 5) c;
    SELECT a.lease_token INTO l FROM task_acquire_lease('q', 'w') a;
    said := said || (SELECT outcome FROM task_heartbeat(t, l, '2 h')) || (SELECT outcome FROM task_append_event(t, 'note', '1', l, 'd')) || (SELECT outcome FROM task_annotate(t, '{"a": 1}', l));
    said := said || (SELECT outcome FROM task_finalize(t, l, 'completed', '1'));
    SELECT s.run_id INTO r FROM workflow_start('flow', '[1, 2]') s;
    FOR i IN 1..3 LOOP
        PERFORM f.outcome FROM task_acquire_lease('q', 'w') a, task_finalize(a.task_id, a.lease_token, 'completed', '1') f;
    END LOOP;
    RETURN array_to_string(said || (SELECT g.state FROM workflow_get(r) g) || (SELECT g.state FROM task_get(t) g) || (SELECT count(*)::text FROM baton_check(true)), ' ');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT life();

-- All tables at once are given what should make no difference; then nothing is as if it had never been.
CREATE FUNCTION with_all(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE t name; said text;
BEGIN
    BEGIN
        FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'baton'::regnamespace AND relkind = 'r' ORDER BY relname LOOP
            EXECUTE replace(change, '@', t);
        END LOOP;
        said := life();
        RAISE SQLSTATE 'ZZ000';
    EXCEPTION WHEN SQLSTATE 'ZZ000' THEN RETURN said;
    END;
END $$;
CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused in %', TG_TABLE_NAME; END $$;
CREATE FUNCTION looks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
-- A column more: without a default, with one, generated.
SELECT with_all('ALTER TABLE baton.@ ADD extra text');
SELECT with_all('ALTER TABLE baton.@ ADD extra int DEFAULT 7');
SELECT with_all('ALTER TABLE baton.@ ADD extra int GENERATED ALWAYS AS (7) STORED');
-- A constraint that all rows meet, a statement trigger that looks on, an index more, other storage, a table that is written anew.
SELECT with_all('ALTER TABLE baton.@ ADD CONSTRAINT always CHECK (true)');
SELECT with_all('CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON baton.@ FOR EACH STATEMENT EXECUTE FUNCTION looks()');
SELECT with_all('CREATE INDEX ON baton.@ ((1))');
SELECT with_all('ALTER TABLE baton.@ SET (fillfactor = 10), REPLICA IDENTITY FULL');
SELECT with_all('ALTER TABLE baton.@ SET UNLOGGED');
SELECT with_all('LOCK TABLE baton.@ IN ACCESS EXCLUSIVE MODE');
-- Indexes of every kind, on what is written row by row; one that could not be built; tables that are written anew.
BEGIN;
CREATE INDEX ON baton.task USING gin (payload);
CREATE INDEX ON baton.event USING gin (body jsonb_path_ops);
CREATE INDEX ON baton.task USING brin (created_at);
CREATE INDEX ON baton.task_live USING brin (ready_seq);
CREATE INDEX ON baton.task_live USING hash (owner);
CREATE INDEX ON baton.task_done USING spgist (reason);
CREATE INDEX ON baton.task (lower(name)) INCLUDE (key) WHERE payload <> '0';
CREATE INDEX ON baton.task_live ((state + attempt)) WHERE owner IS NOT NULL;
SELECT life();
SELECT life();
CLUSTER baton.task USING task_pkey;
REINDEX TABLE baton.task_live;
SELECT life();
ROLLBACK;
CREATE UNIQUE INDEX CONCURRENTLY not_unique ON baton.task (queue_id);
SELECT life();
DROP INDEX baton.not_unique;
VACUUM FULL baton.task_live;
SELECT life();
-- Row security, also for the owner.
SELECT with_all('ALTER TABLE baton.@ ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY');
-- One table after the other is given what gets in the way: that is said, and nothing half done remains.
CREATE FUNCTION with_each(change text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE t name; said text;
BEGIN
    FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'baton'::regnamespace AND relkind = 'r' ORDER BY relname LOOP
        BEGIN
            EXECUTE replace(change, '@', t);
            said := life();
            RAISE SQLSTATE 'ZZ000';
        EXCEPTION WHEN SQLSTATE 'ZZ000' THEN NULL;
        END;
        IF said !~ '^extended appended annotated finalized completed completed 0$' THEN
            RETURN NEXT t || ': ' || said;
        END IF;
    END LOOP;
END $$;
-- A column that needs a value, and a default that only statements see.
SELECT with_each('ALTER TABLE baton.@ ADD extra int NOT NULL DEFAULT 7');
-- A constraint that no new row meets, a trigger that refuses, but where no row trigger fires (docs/architecture.md).
SELECT with_each('ALTER TABLE baton.@ ADD CONSTRAINT never CHECK (false) NOT VALID');
SELECT with_each('CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON baton.@ FOR EACH ROW EXECUTE FUNCTION refuses()');
SELECT life();

-- A column less, a table less, an index less: what belongs to the extension does not go by itself.
DROP TABLE baton.task;
DROP FUNCTION task_create;
DROP VIEW baton.leases;
DROP SEQUENCE baton.token_seq;
DROP FUNCTION baton._clock;
\set VERBOSITY terse
DROP SCHEMA baton;
\set VERBOSITY verbose
BEGIN;
ALTER TABLE baton.task_live DROP COLUMN heartbeat_at CASCADE;
SELECT life();
ROLLBACK;
SELECT life();
BEGIN;
ALTER TABLE baton.task DROP COLUMN name CASCADE;
SELECT life();
ROLLBACK;
BEGIN;
ALTER TABLE baton.task_live ALTER COLUMN attempt TYPE bigint;
SELECT life();
ROLLBACK;
BEGIN;
ALTER TABLE baton.task_live RENAME COLUMN owner TO holder;
SELECT left(life(), 5);
ROLLBACK;
SELECT life();
-- Each index, dropped: what it was for is done without it, or it is missed.
DO $$
DECLARE i record; said text;
BEGIN
    FOR i IN SELECT c.oid::regclass AS name, k.conname, k.conrelid::regclass AS of FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u')
             WHERE c.relnamespace = 'baton'::regnamespace AND c.relname ~ '^(queue|task_live|task_pkey|step_count|slot|due|run_pkey|event)' AND c.relkind = 'i' ORDER BY c.relname COLLATE "C" LOOP
        BEGIN
            EXECUTE CASE WHEN i.conname IS NULL THEN format('DROP INDEX %s', i.name) ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', i.of, i.conname) END;
            said := life();
            RAISE SQLSTATE 'ZZ000';
        EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
            IF said !~ '^extended appended annotated finalized completed completed 0$' THEN RAISE NOTICE '%: %', i.name, left(said, 5); END IF;
        END;
    END LOOP;
END $$;
SELECT life();
-- Torn out of the extension and dropped.
BEGIN;
ALTER EXTENSION pg_baton DROP TABLE baton.event;
DROP TABLE baton.event;
SELECT life();
ROLLBACK;
SELECT life();
-- The schema of the state has another name, and somebody else makes one by ours, with tables like ours and triggers on them: he gets nobody's rights.
CREATE ROLE regress_thief;
SELECT current_database() AS regression \gset
GRANT CREATE ON DATABASE :regression TO regress_thief;
ALTER SCHEMA baton RENAME TO moved;
SELECT life();
SELECT * FROM task_create('q');
SELECT * FROM task_get(1);
SET ROLE regress_thief;
CREATE SCHEMA baton;
CREATE TABLE baton.queue AS SELECT * FROM generate_series(1, 0);
CREATE FUNCTION baton._clock() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'stolen as %', current_user; RETURN now(); END $$;
CREATE FUNCTION baton._queues_seen() RETURNS int[] LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'stolen as %', current_user; RETURN NULL; END $$;
RESET ROLE;
SELECT life() ~ '^extended' AS goes_on;
\set VERBOSITY terse
DROP SCHEMA baton CASCADE;
\set VERBOSITY verbose
ALTER SCHEMA moved RENAME TO baton;
SELECT life();
-- The schema has another owner: the functions have his rights, and no others.
ALTER SCHEMA baton OWNER TO regress_thief;
SELECT life();
SET ROLE regress_thief;
SELECT * FROM baton.task;
RESET ROLE;
ALTER SCHEMA baton OWNER TO CURRENT_USER;
SELECT life();
-- The functions of the extension: others call them something else, or make them SECURITY DEFINER, strict, or parallel safe.
BEGIN;
ALTER FUNCTION task_heartbeat RENAME TO task_pulse;
ALTER FUNCTION task_get SECURITY DEFINER STRICT PARALLEL SAFE;
SELECT count(*) FROM task_get(NULL);
SELECT life();
ROLLBACK;

-- Sequences: at their end, and set back. No number is used twice: the tables do not take it.
SELECT last_value AS token FROM baton.token_seq \gset
SELECT last_value AS id FROM baton.id_seq \gset
SELECT setval('baton.token_seq', 9007199254740991);
SELECT life();
SELECT setval('baton.token_seq', :token) = :token AS as_it_was;
SELECT setval('baton.id_seq', 9007199254740991);
SELECT life();
SELECT setval('baton.id_seq', min(task_id), false) > 0 AS set_back FROM baton.task;
\set VERBOSITY sqlstate
SELECT outcome FROM task_create('q');
\set VERBOSITY verbose
SELECT setval('baton.id_seq', :id + 100) > 0 AS as_it_was;
SELECT life();

-- A column that is of another type, in a session that knows the table, and in one that does not.
BEGIN;
ALTER TABLE baton.task_live ALTER COLUMN attempt TYPE numeric;
SELECT left(life(), 5);
ROLLBACK;
SELECT life();
\c
BEGIN;
ALTER TABLE baton.task_live ALTER COLUMN attempt TYPE text;
SELECT left(life(), 5);
ROLLBACK;
SELECT life();
