-- Differences, one a line, each of which the comparison of catalogs must see.
ALTER TABLE baton.task ADD COLUMN more int
ALTER TABLE baton.task ALTER COLUMN name SET NOT NULL
ALTER TABLE baton.annotation ALTER COLUMN role TYPE varchar
ALTER TABLE baton.task ALTER COLUMN payload SET STORAGE EXTERNAL
ALTER TABLE baton.task ALTER COLUMN name SET STATISTICS 7
ALTER TABLE baton.task_live RESET (autovacuum_vacuum_threshold)
ALTER TABLE baton.task_live SET (toast.autovacuum_enabled = off)
ALTER TABLE baton.task_live DROP CONSTRAINT running_iff_leased
ALTER TABLE baton.step ALTER COLUMN noted SET DEFAULT true
ALTER TABLE baton.step ALTER COLUMN noted DROP DEFAULT
ALTER TABLE baton.queue ADD CONSTRAINT name_is_short CHECK (name < 'x') NOT VALID
ALTER TABLE baton.annotation REPLICA IDENTITY FULL
ALTER TABLE baton.annotation SET UNLOGGED
ALTER TABLE baton.annotation ENABLE ROW LEVEL SECURITY
ALTER TABLE baton.task DISABLE TRIGGER only_the_functions_write
DROP TRIGGER only_the_functions_write ON baton.run
DROP INDEX baton.task_done_alone
CREATE INDEX more ON baton.event (at)
ALTER INDEX baton.task_live_ready SET (fillfactor = 50)
ALTER SEQUENCE baton.token_seq MAXVALUE 9007199254740990
ALTER SEQUENCE baton.token_seq CACHE 2
ALTER SEQUENCE baton.due_id_seq OWNED BY baton.due.due_id
ALTER FUNCTION task_reap(int, text) COST 7
ALTER FUNCTION task_reap(int, text) STRICT
ALTER FUNCTION task_reap(int, text) STABLE
ALTER FUNCTION task_reap(int, text) PARALLEL SAFE
ALTER FUNCTION task_reap(int, text) SECURITY DEFINER
ALTER FUNCTION task_reap(int, text) SET work_mem = '5MB'
ALTER FUNCTION task_reap(int, text) ROWS 7
GRANT EXECUTE ON FUNCTION task_reap(int, text) TO PUBLIC
GRANT SELECT (name) ON baton.queue TO PUBLIC
GRANT SELECT ON baton.leases TO PUBLIC
GRANT USAGE ON SCHEMA baton TO PUBLIC
COMMENT ON FUNCTION task_reap(int, text) IS 'another'
COMMENT ON COLUMN baton.task.name IS 'another'
COMMENT ON VIEW baton.leases IS NULL
CREATE OR REPLACE FUNCTION baton._clock() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.now()'
CREATE OR REPLACE VIEW baton.leases AS SELECT task_id, NULL::text AS queue, NULL::text AS key, NULL::text AS name, owner, lease_token, leased_at, started_at, heartbeat_at, lease_expires_at, true AS expired FROM baton.task_live
ALTER VIEW baton.leases SET (security_barrier = false)
ALTER EXTENSION pg_baton DROP FUNCTION task_reap(int, text)
ALTER EXTENSION pg_baton DROP TABLE baton.annotation
DELETE FROM pg_init_privs WHERE objoid = 'task_reap(int, text)'::regprocedure
UPDATE pg_extension SET extconfig = extconfig[2:], extcondition = extcondition[2:] WHERE extname = 'pg_baton'
UPDATE pg_extension SET extcondition[1] = 'WHERE false' WHERE extname = 'pg_baton'
UPDATE pg_extension SET extversion = '0' WHERE extname = 'pg_baton'
CREATE RULE more AS ON INSERT TO baton.annotation DO INSTEAD NOTHING
CREATE POLICY more ON baton.annotation USING (true)
