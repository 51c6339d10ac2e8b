-- Every table of the extension, counted, with a checksum of its rows; every sequence where it stands; what others than the owner may do.
SELECT format('SELECT %L, count(*), md5(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C")) FROM %s t', oid::regclass, oid::regclass)
  FROM pg_class WHERE relnamespace = 'baton'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname \gexec
SELECT format('SELECT %L, last_value, is_called FROM %s', oid::regclass, oid::regclass)
  FROM pg_class WHERE relnamespace = 'baton'::regnamespace AND relkind = 'S' ORDER BY relname \gexec
SELECT p.oid::regprocedure, string_agg(a.grantee::regrole || ' ' || a.privilege_type, ', ' ORDER BY a.grantee::regrole::text)
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_baton' JOIN pg_proc p ON p.oid = d.objid,
       aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
 WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_proc'::regclass AND a.grantee <> p.proowner GROUP BY 1 ORDER BY 1::text COLLATE "C";
SELECT c.relname, c.relreplident, string_agg(a.grantee::regrole || ' ' || a.privilege_type, ', ' ORDER BY a.grantee::regrole::text)
  FROM pg_class c LEFT JOIN aclexplode(c.relacl) a ON a.grantee <> c.relowner
 WHERE c.relnamespace = 'baton'::regnamespace AND c.relkind IN ('r', 'v') GROUP BY 1, 2 ORDER BY 1;
