-- Whose names and settings a function goes by, and where it is installed. Who may call what is tested in
-- capability_matrix and capability_roles.

SELECT queue_create('q');
SELECT slot_set('key', 1);
CREATE ROLE regress_worker;
CREATE ROLE regress_app;
CREATE SCHEMA evil AUTHORIZATION regress_worker;
SELECT baton_grant('regress_worker', c, 'q') FROM unnest(ARRAY['produce', 'work', 'observe', 'control', 'operate']) c;

-- A function works on tables that its caller cannot touch.
SET ROLE regress_worker;
SELECT outcome FROM task_create('q', key => 'k');
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_heartbeat(:t, :l, '1 min');
SELECT * FROM baton.task;
SELECT nextval('baton.token_seq');
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
-- So it does on a run's tape.
CREATE FUNCTION stop_run(run_id bigint) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT outcome FROM workflow_cancel(run_id)';
ALTER FUNCTION stop_run OWNER TO regress_worker;
SELECT run_id AS r FROM workflow_start(definition => '{"steps": [{"name": "s", "queue": "q"}]}') \gset
SET ROLE regress_app;
SELECT stop_run(:r);
RESET ROLE;
SELECT body ->> 'role' AS role FROM workflow_events(:r) WHERE kind = 'cancel_requested';

-- A role cannot come between with what is its own: hostile names in its search path, and temporary ones.
SET ROLE regress_worker;
SET search_path = pg_temp, evil, public, pg_catalog;
CREATE TEMP TABLE task (task_id bigint, payload jsonb);
CREATE TEMP TABLE task_live (task_id bigint);
CREATE TEMP TABLE queue (name text);
CREATE TEMP TABLE run (run_id bigint, input int);
CREATE TEMP TABLE step (step_id bigint, run_id bigint, state text);
CREATE TEMP TABLE workflow (name text, definition text);
CREATE TEMP TABLE slot (slot_key text, holder text);
CREATE TEMP TABLE slot_key (slot_key text, capacity int, name text);
CREATE TEMP TABLE compensation (task_id text, state int);
CREATE TEMP TABLE saga (task_id text);
CREATE TEMP TABLE capability (role_name text, capability text, queue_id int);
INSERT INTO capability VALUES ('regress_worker', 'operate', NULL);
CREATE TEMP TABLE pg_class (oid oid);
CREATE TEMP TABLE pg_extension (oid oid, extname name);
CREATE DOMAIN pg_temp.int8 AS text;
CREATE TYPE pg_temp.jsonb AS ENUM ('hijacked');
CREATE FUNCTION evil.hijack() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked by %', current_user; END $$;
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT evil.hijack()::timestamptz';
CREATE FUNCTION evil.nextval(text) RETURNS bigint LANGUAGE sql AS 'SELECT evil.hijack()::bigint';
CREATE FUNCTION evil.coalesce(text, text) RETURNS text LANGUAGE sql AS 'SELECT evil.hijack()';
CREATE FUNCTION evil.cardinality(text[]) RETURNS int LANGUAGE sql AS 'SELECT evil.hijack()::int';
CREATE FUNCTION evil.jsonb_build_object(text, text, text, int) RETURNS pg_catalog.jsonb LANGUAGE sql AS 'SELECT evil.hijack()::pg_catalog.jsonb';
CREATE FUNCTION evil.jsonb_path_query_array_tz(pg_catalog.jsonb, jsonpath) RETURNS pg_catalog.jsonb LANGUAGE sql AS 'SELECT evil.hijack()::pg_catalog.jsonb';
CREATE FUNCTION evil.jsonb_array_length(pg_catalog.jsonb) RETURNS int LANGUAGE sql AS 'SELECT evil.hijack()::int';
CREATE FUNCTION evil.jsonb_set(pg_catalog.jsonb, text[], pg_catalog.jsonb) RETURNS pg_catalog.jsonb LANGUAGE sql AS 'SELECT evil.hijack()::pg_catalog.jsonb';
CREATE FUNCTION evil._fill(pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.jsonb) RETURNS pg_catalog.jsonb LANGUAGE sql AS 'SELECT evil.hijack()::pg_catalog.jsonb';
CREATE FUNCTION evil.same(pg_catalog.jsonb, pg_catalog.jsonb) RETURNS boolean LANGUAGE sql AS 'SELECT evil.hijack()::boolean';
CREATE OPERATOR evil.= (FUNCTION = evil.same, LEFTARG = pg_catalog.jsonb, RIGHTARG = pg_catalog.jsonb);
CREATE FUNCTION evil._queues_seen() RETURNS int[] LANGUAGE sql AS 'SELECT NULL::int[]';
CREATE FUNCTION evil.eq(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT evil.hijack()::boolean';
CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = bigint, RIGHTARG = bigint);
CREATE FUNCTION evil.any(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR evil.= (FUNCTION = evil.any, LEFTARG = int, RIGHTARG = int);
CREATE FUNCTION evil.plus(bigint, int) RETURNS bigint LANGUAGE sql AS 'SELECT evil.hijack()::bigint';
CREATE OPERATOR evil.+ (FUNCTION = evil.plus, LEFTARG = bigint, RIGHTARG = int);
SELECT outcome FROM task_create('q', '{"n": 2}', key => 'k2');
SELECT task_id AS t, lease_token AS l, payload FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_start(:t, :l);
SELECT outcome, seq FROM task_append_event(:t, 'note', '1', :l, 'once');
SELECT outcome FROM task_annotate(:t, '{"a": 1}', :l);
SELECT task_require_lease(:t, :l);
SELECT outcome FROM task_release(:t, :l);
SELECT outcome FROM task_acquire_lease_by_id(:t, 'w');
SELECT outcome FROM task_cancel(:t, force => true);
SELECT outcome FROM task_redrive(:t);
SELECT state FROM task_get(:t);
SELECT count(*) FROM task_list('q', ARRAY['cancelled']);
SELECT count(*) FROM task_events(:t);
SELECT queue, ready FROM baton.queue_stats;
SELECT outcome FROM task_create_items('q', 'g', ARRAY['1', '2']::pg_catalog.jsonb[], max_parallel => 1, successor => 's');
SELECT DISTINCT f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT queue_pause('q'), queue_resume('q'), queue_alter('q', max_attempts => 2);
SELECT tasks FROM baton_purge('0', queue => 'q', states => ARRAY['cancelled']);
\set flow '{"steps": [{"name": "a", "queue": "q", "with_items": "$.input.items", "payload": {"n": "$.item", "of": "$.input.of"}}, {"name": "b", "queue": "q", "needs": ["a"], "if": "exists($.steps.a.result[*] ? (@ == 2))", "payload": "$.steps.a.result", "max_runtime": "1 min"}]}'
SELECT run_id AS r FROM workflow_start(input => '{"items": [1, 2], "of": "x"}', key => 'k', definition => :'flow') \gset
SELECT outcome FROM workflow_start(input => '{"items": [1, 2], "of": "x"}', key => 'k', definition => :'flow');
SELECT workflow_pause(:r, 'by hand'), workflow_resume(:r, 'by hand'), workflow_annotate(:r, '{"a": 1}');
SELECT outcome FROM workflow_append_event(:r, 'note', '1', 'once');
SELECT l.payload, f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed', l.payload -> 'n') f;
SELECT l.payload, f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT state, counts FROM workflow_get(:r);
SELECT step, state, completed FROM workflow_steps(:r);
SELECT count(*) FROM workflow_events(:r);
SELECT workflow_mermaid(:r) LIKE '%flowchart%' AS drawn;
SELECT state, completed FROM baton.workflow_progress WHERE key = 'k';
SELECT run_id AS r FROM workflow_start(input => '{"items": [3]}', definition => :'flow') \gset
SELECT workflow_finalize(run_id, 'completed') FROM task_create_items('q', 'g', ARRAY['1']::pg_catalog.jsonb[]);
SELECT outcome FROM workflow_cancel(:r);
SELECT DISTINCT f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT outcome, state FROM unnest(ARRAY['s1', 's2']) key, task_create('q', key => key, slot_keys => ARRAY['key']);
SELECT slot_key, holders, waiters FROM baton.slot_usage WHERE slot_key IS NOT NULL;
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome, compensation_no FROM unnest(ARRAY[1, 1, 2]) n, task_register_compensation(:t, :l, 'undo', 'q', to_jsonb(n));
SELECT outcome FROM task_finalize(:t, :l, 'failed');
SELECT name, payload, f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT name, payload, f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT compensation_no, state FROM task_compensations(:t);
SELECT state FROM task_get(:t);
SELECT l.key, f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT run_id AS r FROM workflow_start(input => '{"n": 1}', definition => '{"steps": [{"name": "a", "queue": "q", "slot_keys": ["key"], "compensate": {"queue": "q", "payload": {"n": "$.input.n", "of": "$.task.result", "it": "$.steps.a.state"}}}, {"name": "b", "queue": "q", "needs": ["a"]}]}') \gset
SELECT l.name, f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed', '5') f;
SELECT l.name, f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT l.name, l.payload, f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT step, compensation_no, name, state FROM workflow_compensations(:r);
SELECT state FROM workflow_get(:r);
-- Neither does it have what its own table says.
SELECT queue_create('q2');
SELECT slot_set('key', 2);
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
SELECT outcome, run_id AS r FROM workflow_start(input => '{"items": [1, 2], "of": "x"}', definition => :'flow') \gset
SELECT state, tasks FROM baton.workflow_progress WHERE run_id = :r;
SELECT DISTINCT f.outcome FROM task_acquire_lease('q', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT queue FROM baton.queue_stats;
-- An error leaves role and settings as they were.
SELECT * FROM task_create('nowhere');
SELECT current_user;
SHOW search_path;
RESET search_path;
-- A trigger of the caller's own table fires as the caller.
CREATE TEMP TABLE mine (outcome text, role text DEFAULT current_user);
CREATE FUNCTION pg_temp.fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.role := NEW.role || ', ' || current_user; RETURN NEW; END $$;
CREATE TRIGGER fired BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION pg_temp.fired();
INSERT INTO mine (outcome) SELECT outcome FROM task_create('q');
SELECT * FROM mine;
RESET ROLE;
-- The owner, too, grants by the right names, and sets slot keys.
SET search_path = pg_temp, public;
CREATE TEMP TABLE capability (role_name text, capability text, queue_id int);
CREATE TEMP TABLE pg_proc (oid oid, proname name);
SELECT baton_grant('regress_app', 'observe', 'q');
CREATE TEMP TABLE slot_key (slot_key bigint, capacity int, name text);
SELECT slot_set('key', 2);
SELECT slot_key, capacity, holders FROM baton.slot_usage WHERE slot_key IS NOT NULL;
SELECT count(*) FROM slot_key;
RESET search_path;
SET ROLE regress_app;
SELECT queue FROM baton.queue_stats;
RESET ROLE;

-- The API in a schema of its own.
DROP OWNED BY regress_app;
DROP EXTENSION pg_baton;
CREATE SCHEMA "Baton API";
CREATE EXTENSION pg_baton WITH SCHEMA "Baton API";
SELECT outcome FROM task_create('default');
SELECT outcome FROM "Baton API".task_create('default');
SET search_path = "Baton API";
SELECT outcome, state FROM task_create('default');
SELECT f.outcome FROM task_acquire_lease('default', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT workflow_define('flow', '{"steps": [{"name": "a", "with_items": "$.input[*]", "payload": ["$.item"]}]}');
SELECT outcome, run_id AS r FROM workflow_start('flow', '[1]') \gset
SELECT l.payload, f.outcome FROM task_acquire_lease('default', 'w', max_tasks => 9) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT state FROM workflow_get(:r);
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
