-- What pgspot must not miss, in a script of an extension: a SECURITY DEFINER function without a path of its own, and an operator that may be anybody's.
CREATE FUNCTION baton.careless() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT pg_catalog.nextval(''baton.token_seq'')';
DO $$BEGIN PERFORM 1 FROM pg_catalog.pg_class WHERE relnamespace = 'baton'::pg_catalog.regnamespace; END$$;
