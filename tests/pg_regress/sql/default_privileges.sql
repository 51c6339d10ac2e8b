-- Default privileges of whoever installs the extension do not open its tables.
DROP EXTENSION pg_baton;
CREATE ROLE regress_reader;
CREATE ROLE "regress Reader ""2""";
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_reader, "regress Reader ""2""", PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO regress_reader, PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO regress_reader;
CREATE EXTENSION pg_baton;
SELECT c.oid::regclass AS opened, a.grantee::regrole FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = 'baton'::regnamespace AND c.relkind IN ('r', 'S') AND a.grantee <> c.relowner;

-- Somebody who may look at one queue looks at that one.
SELECT queue_create('open'), queue_create('secret');
SELECT outcome FROM task_create('secret', '{"password": 1}');
SELECT outcome FROM task_create('open', '1');
SELECT baton_grant('regress_reader', 'observe', 'open');
SET ROLE regress_reader;
SELECT payload FROM baton.task;
INSERT INTO baton.capability (role_name, capability, uses_schema) VALUES ('regress_reader', 'operate', false);
SELECT nextval('baton.token_seq');
SELECT queue, ready FROM baton.queue_stats;
SELECT queue_create('mine');
RESET ROLE;
