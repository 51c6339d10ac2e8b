-- Whoever may create in the schema that the extension goes into has put there what fits better than the server's own. None of it may run while a
-- superuser installs.
DROP EXTENSION pg_baton;
CREATE ROLE regress_mallory;
CREATE SCHEMA trap AUTHORIZATION regress_mallory;
SET ROLE regress_mallory;
CREATE FUNCTION trap.caught(oid, regnamespace) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'caught %', current_user; RETURN false; END$$;
CREATE FUNCTION trap.caught(name, name) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'caught %', current_user; RETURN ''; END$$;
CREATE OPERATOR trap.= (LEFTARG = oid, RIGHTARG = regnamespace, FUNCTION = trap.caught);
CREATE OPERATOR trap.|| (LEFTARG = name, RIGHTARG = name, FUNCTION = trap.caught);
-- It is a trap.
SET search_path = trap;
SELECT 0::oid = 'trap'::regnamespace;
RESET search_path;
RESET ROLE;
CREATE EXTENSION pg_baton WITH SCHEMA trap;
-- What it found by an operator is the same as anywhere: the tables that it guards, and those that a dump keeps.
SELECT count(*) > 10 AS guarded FROM pg_trigger WHERE tgname = 'only_the_functions_write';
SELECT count(*) > 10 AS dumped FROM pg_extension e, unnest(extconfig) WHERE extname = 'pg_baton';
-- The functions are where they were asked for, and the path is the caller's again.
SELECT count(*) > 40 AS there FROM pg_proc WHERE pronamespace = 'trap'::regnamespace AND prolang = (SELECT oid FROM pg_language WHERE lanname = 'c');
SHOW search_path;
DROP EXTENSION pg_baton;
