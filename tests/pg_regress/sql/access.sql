-- Who may call; whose names and settings a function goes by.

SELECT queue_create('q');
CREATE ROLE regress_worker;
CREATE ROLE regress_app;
GRANT regress_worker TO regress_app;
CREATE SCHEMA evil AUTHORIZATION regress_worker;

-- Without EXECUTE: nothing, not even an error of its own.
SET ROLE regress_worker;
SELECT * FROM task_create('q');
SELECT * FROM task_create(NULL);
SELECT * FROM task_acquire_lease('q', 'w');
SELECT * FROM task_get(1);
SELECT * FROM baton_check();
SELECT queue_create('mine');
SELECT * FROM baton.queue_stats;
SELECT * FROM baton.task;
SELECT nextval('baton.token_seq');
RESET ROLE;

-- With EXECUTE it works, on tables that the caller still cannot touch.
GRANT EXECUTE ON FUNCTION task_create, task_acquire_lease, task_acquire_lease_by_id, task_start, task_heartbeat, task_append_event, task_finalize, task_cancel, task_release, task_get, task_events, task_create_items, task_require_lease TO regress_worker;
SET ROLE regress_worker;
SELECT outcome FROM task_create('q', key => 'k');
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_heartbeat(:t, :l, '1 min');
SELECT * FROM baton.task;
SELECT current_user;
RESET ROLE;
-- The role on the tape is the caller's: SET ROLE counts, and so does a SECURITY DEFINER function of the application.
CREATE FUNCTION stop(task_id bigint) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT outcome FROM task_cancel(task_id)';
ALTER FUNCTION stop OWNER TO regress_worker;
SET ROLE regress_app;
SELECT stop(:t);
SELECT current_user;
RESET ROLE;
SELECT body ->> 'role' AS role FROM task_events(:t) WHERE kind = 'cancel_requested';
SELECT outcome FROM task_finalize(:t, :l, 'cancelled');

-- A role that may use nothing but its own things cannot come between: hostile names in its search path, and temporary ones.
SET ROLE regress_worker;
SET search_path = pg_temp, evil, public, pg_catalog;
CREATE TEMP TABLE task (task_id bigint, payload jsonb);
CREATE TEMP TABLE task_live (task_id bigint);
CREATE TEMP TABLE queue (name text);
CREATE TEMP TABLE pg_class (oid oid);
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked by %', current_user; END $$;
CREATE FUNCTION evil.nextval(text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked by %', current_user; END $$;
CREATE FUNCTION evil.jsonb_build_object(text, text, text, int) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked by %', current_user; END $$;
CREATE FUNCTION evil.eq(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked by %', current_user; END $$;
CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = bigint, RIGHTARG = bigint);
CREATE FUNCTION evil.plus(bigint, int) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked by %', current_user; END $$;
CREATE OPERATOR evil.+ (FUNCTION = evil.plus, LEFTARG = bigint, RIGHTARG = int);
SELECT outcome FROM task_create('q', '{"n": 2}', key => 'k2');
SELECT task_id AS t, lease_token AS l, payload FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_start(:t, :l);
SELECT outcome, seq FROM task_append_event(:t, 'note', '1', :l, 'once');
SELECT task_require_lease(:t, :l);
SELECT outcome FROM task_release(:t, :l);
SELECT outcome FROM task_acquire_lease_by_id(:t, 'w');
SELECT outcome FROM task_cancel(:t, force => true);
SELECT state FROM task_get(:t);
SELECT count(*) FROM task_events(:t);
SELECT outcome FROM task_create_items('q', 'g', ARRAY['1', '2']::jsonb[], max_parallel => 1, successor => 's');
SELECT DISTINCT f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
-- The search path is the caller's own again.
SHOW search_path;
SELECT count(*) FROM task;
RESET search_path;
RESET ROLE;
-- The same in a session that has planned nothing yet.
\c
SET ROLE regress_worker;
SET search_path = evil, public, pg_catalog;
SELECT outcome FROM task_create('q', key => 'k3');
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_finalize(:t, :l, 'completed');
-- An error leaves role and settings as they were.
SELECT * FROM task_create('nowhere');
SELECT current_user;
SHOW search_path;
RESET search_path;
-- A trigger of the caller's own table fires as the caller.
CREATE TEMP TABLE mine (outcome text, role text DEFAULT current_user);
INSERT INTO mine (outcome) SELECT outcome FROM task_create('q');
SELECT * FROM mine;
RESET ROLE;

-- The API in a schema of its own.
DROP EXTENSION pg_baton;
CREATE SCHEMA "Baton API";
CREATE EXTENSION pg_baton WITH SCHEMA "Baton API";
SELECT outcome FROM task_create('default');
SELECT outcome FROM "Baton API".task_create('default');
SET search_path = "Baton API";
SELECT outcome, state FROM task_create('default');
SELECT f.outcome FROM task_acquire_lease('default', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT * FROM baton_check(true);
RESET search_path;
ALTER EXTENSION pg_baton SET SCHEMA public;
-- A squatted schema makes the install fail.
DROP EXTENSION pg_baton;
CREATE SCHEMA baton AUTHORIZATION regress_worker;
CREATE EXTENSION pg_baton;
DROP SCHEMA baton;
CREATE EXTENSION pg_baton;
SELECT * FROM baton_check(true);
