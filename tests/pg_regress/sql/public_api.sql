-- The form of the public API: what a caller sees of every function, and what holds for all of them.

-- Their signatures are in docs/sql-api.md, which is generated and checked.

-- Called on NULL input, never in a parallel worker, as the caller; what writes is volatile.
SELECT p.proname AS function, p.provolatile AS volatility, p.proparallel AS parallel, p.proisstrict AS strict,
       p.prosecdef AS definer
  FROM pg_proc p JOIN pg_extension e ON e.extnamespace = p.pronamespace
  JOIN pg_depend d ON d.objid = p.oid AND d.refobjid = e.oid AND d.deptype = 'e'
 WHERE e.extname = 'pg_baton' ORDER BY p.proname COLLATE "C";

-- Nobody but the owner may call anything, nor reads or writes any table, sequence or view.
CREATE ROLE regress_nobody;
SELECT p.oid::regprocedure AS callable
  FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid
 WHERE e.extname = 'pg_baton' AND has_function_privilege('regress_nobody', p.oid, 'EXECUTE')
   AND p.proname NOT LIKE '\_%' ORDER BY 1;
SELECT c.oid::regclass AS reachable
  FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid
 WHERE e.extname = 'pg_baton' AND c.relkind IN ('r', 'v', 'p')
   AND has_table_privilege('regress_nobody', c.oid, 'SELECT, INSERT, UPDATE, DELETE') ORDER BY 1;
SET ROLE regress_nobody;
SELECT * FROM task_create('default');
SELECT * FROM baton.leases;
RESET ROLE;

-- Every function and every view has a comment.
SELECT p.oid::regprocedure AS without_comment
  FROM pg_proc p JOIN pg_extension e ON e.extnamespace = p.pronamespace
  JOIN pg_depend d ON d.objid = p.oid AND d.refobjid = e.oid AND d.deptype = 'e'
 WHERE e.extname = 'pg_baton' AND obj_description(p.oid, 'pg_proc') IS NULL ORDER BY 1;
SELECT c.oid::regclass AS without_comment
  FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid
 WHERE e.extname = 'pg_baton' AND c.relkind = 'v' AND obj_description(c.oid, 'pg_class') IS NULL ORDER BY 1;

-- pg_dump keeps the rows of every table and the value of every sequence.
SELECT c.oid::regclass AS not_dumped
  FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid
 WHERE e.extname = 'pg_baton' AND c.relkind IN ('r', 'p', 'S') AND c.oid <> ALL (coalesce(e.extconfig, '{}'))
 ORDER BY 1;

-- Nothing that the install script made is a row in such a table.
SELECT count(*) AS rows FROM baton.queue;
SELECT queue, ready FROM baton.queue_stats;

-- The state is in a schema that nobody may have taken before, and leaves with the extension.
DROP EXTENSION pg_baton;
SELECT count(*) AS schemas FROM pg_namespace WHERE nspname = 'baton';
CREATE SCHEMA baton;
CREATE EXTENSION pg_baton;
DROP SCHEMA baton;
CREATE SCHEMA elsewhere;
CREATE EXTENSION pg_baton SCHEMA elsewhere;
SELECT outcome, state FROM elsewhere.task_create('default');
SELECT count(*) FROM task_get(1);
