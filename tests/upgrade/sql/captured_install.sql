-- The script of 0.1.0 could be made to call functions and operators of others, who had put them into the schema of the extension before:
-- 0.2.0 takes them out.
DROP EXTENSION pg_baton;
CREATE FUNCTION num_nonnulls(text, bigint, timestamptz) RETURNS int LANGUAGE sql AS 'SELECT pg_catalog.num_nonnulls($1, $2, $3)';
CREATE FUNCTION num_nonnulls(bigint, bigint) RETURNS int LANGUAGE sql AS 'SELECT pg_catalog.num_nonnulls($1, $2)';
CREATE FUNCTION num_nonnulls(bigint, bigint, bigint) RETURNS int LANGUAGE sql AS 'SELECT pg_catalog.num_nonnulls($1, $2, $3)';
CREATE FUNCTION nextval(text) RETURNS bigint LANGUAGE sql AS 'SELECT pg_catalog.nextval($1::regclass)';
CREATE AGGREGATE array_agg(int) (SFUNC = pg_catalog.array_append, STYPE = int[]);
CREATE FUNCTION overlap(int[], int[]) RETURNS boolean LANGUAGE sql AS 'SELECT $1 OPERATOR(pg_catalog.&&) $2';
CREATE OPERATOR && (LEFTARG = int[], RIGHTARG = int[], FUNCTION = overlap);
CREATE FUNCTION same(int[], int[]) RETURNS boolean LANGUAGE sql AS 'SELECT $1 OPERATOR(pg_catalog.=) $2';
CREATE OPERATOR = (LEFTARG = int[], RIGHTARG = int[], FUNCTION = same);
CREATE FUNCTION never(oid, regnamespace) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR = (LEFTARG = oid, RIGHTARG = regnamespace, FUNCTION = never);
CREATE EXTENSION pg_baton VERSION '0.1.0';

CREATE VIEW captured AS
    SELECT pg_describe_object(d.classid, d.objid, 0) COLLATE "C" AS of_ours, pg_describe_object(d.refclassid, d.refobjid, 0) COLLATE "C" AS calls
    FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) i
    WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) AND i.identity LIKE '%baton.%'
      AND pg_describe_object(d.refclassid, d.refobjid, 0) NOT LIKE '%baton.%'
    ORDER BY of_ours, calls;
CREATE VIEW tables AS SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'baton' AND c.relkind = 'r';
SELECT * FROM captured;
SELECT count(*) > 10 AS unguarded FROM tables WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = tables.oid AND tgname = 'only_the_functions_write');
SELECT extconfig IS NULL AS not_dumped FROM pg_extension WHERE extname = 'pg_baton';
SELECT slot_set('narrow', 1);
SELECT outcome, state FROM task_create('default', slot_keys => '{narrow}');

ALTER EXTENSION pg_baton UPDATE;
SELECT * FROM captured;
SELECT relname AS unguarded FROM tables WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = tables.oid AND tgname = 'only_the_functions_write');
SELECT relname AS not_dumped FROM tables, pg_extension WHERE extname = 'pg_baton' AND tables.oid <> ALL (extconfig);
SELECT name, outcome FROM task_acquire_lease('default', 'worker') a, task_finalize(a.task_id, a.lease_token, 'completed');
DELETE FROM baton.task;
SELECT * FROM baton_check(true);

-- What was made anew is as in a fresh install, where none of this is in sight.
CREATE FUNCTION said() RETURNS SETOF text LANGUAGE sql SET search_path = pg_catalog AS $$
    SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'baton'::regnamespace
    UNION ALL SELECT relname || pg_get_viewdef(oid) || reloptions::text FROM pg_class WHERE relnamespace = 'baton'::regnamespace AND relkind = 'v'
    UNION ALL SELECT adrelid::regclass || pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_class c ON c.oid = adrelid WHERE relnamespace = 'baton'::regnamespace
$$;
CREATE TABLE repaired AS SELECT said FROM said();
DROP EXTENSION pg_baton;
CREATE EXTENSION pg_baton;
SELECT count(*) > 50 AS all FROM repaired;
TABLE repaired EXCEPT ALL SELECT said FROM said();
SELECT said FROM said() EXCEPT ALL TABLE repaired;
SELECT * FROM captured;
