-- The schema of the functions, as it stands in a GRANT, and whether the role ($1) may use it. Takes no lock.
SELECT quote_ident(n.nspname), has_schema_privilege($1, n.oid, 'USAGE')
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_baton'
