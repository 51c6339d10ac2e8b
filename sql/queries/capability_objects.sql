-- The extension's functions and views, and the schema of the views. Takes no lock.
WITH extension AS (
    SELECT oid, extnamespace FROM pg_extension WHERE extname = 'pg_baton'
)
SELECT 'function', p.proname::text, p.oid::regprocedure::text
FROM extension e
JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
UNION ALL
SELECT 'view', c.relname::text, c.oid::regclass::text
FROM extension e
JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind = 'v'
UNION ALL
SELECT 'schema', 'baton', 'baton'
