-- Everything that the catalogs say of the extension, a line each, without what differs from one install to the next (oids, places).
-- The step `upgrade` prints it for a database that was upgraded and for one in which the extension was just created: they must be the same.
SET search_path = pg_catalog;

CREATE TEMPORARY VIEW extension AS SELECT * FROM pg_extension WHERE extname = 'pg_baton';
-- What belongs to the extension, and what depends on something that does: indexes, constraints, triggers, rules, defaults, row types.
CREATE TEMPORARY VIEW ours AS
    WITH RECURSIVE o AS (
        SELECT d.classid, d.objid FROM extension e JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        UNION
        SELECT d.classid, d.objid FROM o JOIN pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid AND d.deptype IN ('a', 'i', 'P', 'S'))
    SELECT classid, objid, i.type || ' ' || i.identity AS name
    FROM o, pg_identify_object(classid, objid, 0) i
    WHERE i.identity NOT LIKE 'pg\_toast.%'; -- (named after the oid of a table)
-- Some builds of the server keep a number of their own among the options of each column.
CREATE FUNCTION pg_temp.options(options text[]) RETURNS text[] LANGUAGE sql
    AS $$SELECT array_agg(o) FROM unnest(options) o WHERE o NOT LIKE 'pg\_attver=%'$$;
-- The order in which privileges were granted is no difference.
CREATE FUNCTION pg_temp.acl(acl aclitem[]) RETURNS text LANGUAGE sql
    AS $$SELECT CASE WHEN acl IS NULL THEN 'default' ELSE array(SELECT a::text COLLATE "C" FROM unnest(acl) a ORDER BY 1)::text END$$;

SELECT replace(line, E'\n', ' ⏎ ') FROM (
    SELECT format('extension: version %s, in %s, owner %s, relocatable %s', extversion, extnamespace::regnamespace, extowner::regrole, extrelocatable) FROM extension
    UNION ALL
    SELECT format('dumped with its data: %s, where %s', c.config::regclass, c.condition)
    FROM extension, unnest(extconfig, extcondition) AS c (config, condition)
    UNION ALL
    SELECT format('%s: depends on %s (%s)', o.name, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), d.deptype)
    FROM ours o JOIN pg_depend d USING (classid, objid)
    UNION ALL
    SELECT format('%s: comment %L on %s', o.name, d.description, pg_describe_object(d.classoid, d.objoid, d.objsubid))
    FROM ours o JOIN pg_description d ON d.classoid = o.classid AND d.objoid = o.objid
    UNION ALL
    SELECT format('%s: privileges at first, %s %s', pg_describe_object(i.classoid, i.objoid, i.objsubid), i.privtype, pg_temp.acl(i.initprivs))
    FROM ours o JOIN pg_init_privs i ON i.classoid = o.classid AND i.objoid = o.objid
    UNION ALL
    SELECT format('schema %s: owner %s, privileges %s', n.nspname, n.nspowner::regrole, pg_temp.acl(n.nspacl))
    FROM pg_namespace n JOIN ours o ON o.classid = 'pg_namespace'::regclass AND o.objid = n.oid
    UNION ALL
    SELECT format('%s: kind %s, owner %s, privileges %s, options %s, of its TOAST table %s, persistence %s, access method %s, tablespace %s, replica identity %s, row security %s %s',
                  o.name, c.relkind, c.relowner::regrole, pg_temp.acl(c.relacl), c.reloptions, t.reloptions, c.relpersistence, c.relam, c.reltablespace, c.relreplident,
                  c.relrowsecurity, c.relforcerowsecurity)
    FROM pg_class c JOIN ours o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    UNION ALL
    SELECT format('%s: column %s %I %s, collation %s, not null %s, default %s, identity %L, generated %L, storage %s, compression %L, statistics %s, options %s, privileges %s',
                  o.name, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod), nullif(a.attcollation, 0)::regcollation,
                  a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attstorage, a.attcompression, a.attstattarget, pg_temp.options(a.attoptions), pg_temp.acl(a.attacl))
    FROM pg_attribute a JOIN ours o ON o.classid = 'pg_class'::regclass AND o.objid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT format('%s: %s, validated %s', o.name, pg_get_constraintdef(c.oid), c.convalidated) FROM pg_constraint c JOIN ours o ON o.classid = 'pg_constraint'::regclass AND o.objid = c.oid
    UNION ALL
    SELECT format('%s: %s, valid %s, ready %s, clustered %s, replica identity %s', o.name, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready, i.indisclustered, i.indisreplident)
    FROM pg_index i JOIN ours o ON o.classid = 'pg_class'::regclass AND o.objid = i.indexrelid
    UNION ALL
    SELECT format('%s: %s', o.name, to_jsonb(s) - 'seqrelid') FROM pg_sequence s JOIN ours o ON o.classid = 'pg_class'::regclass AND o.objid = s.seqrelid
    UNION ALL
    SELECT format('%s: owner %s, privileges %s, library %s, %s', o.name, p.proowner::regrole, pg_temp.acl(p.proacl), p.probin, pg_get_functiondef(p.oid))
    FROM pg_proc p JOIN ours o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid
    UNION ALL
    SELECT format('%s: %s', o.name, pg_get_viewdef(c.oid)) FROM pg_class c JOIN ours o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid WHERE c.relkind = 'v'
    UNION ALL
    SELECT format('%s: enabled %s, %s', o.name, t.tgenabled, pg_get_triggerdef(t.oid)) FROM pg_trigger t JOIN ours o ON o.classid = 'pg_trigger'::regclass AND o.objid = t.oid
    UNION ALL
    SELECT format('%s: enabled %s, %s', o.name, r.ev_enabled, pg_get_ruledef(r.oid)) FROM pg_rewrite r JOIN ours o ON o.classid = 'pg_rewrite'::regclass AND o.objid = r.oid
    UNION ALL
    SELECT format('%s: %s', o.name, to_jsonb(p) - '{oid,polrelid}'::text[]) FROM pg_policy p JOIN ours o ON o.classid = 'pg_policy'::regclass AND o.objid = p.oid
    UNION ALL
    SELECT format('%s: kind %s, owner %s, privileges %s', o.name, t.typtype, t.typowner::regrole, pg_temp.acl(t.typacl))
    FROM pg_type t JOIN ours o ON o.classid = 'pg_type'::regclass AND o.objid = t.oid
) AS said (line) ORDER BY line COLLATE "C";
