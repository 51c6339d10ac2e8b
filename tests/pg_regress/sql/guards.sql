-- Below the functions: not even the owner's own UPDATE breaks a rule by accident.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT outcome FROM unnest(ARRAY['done', 'runs', 'waits']) key, task_create('q', key => key);
SELECT task_id AS done, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_finalize(:done, :l, 'completed', '1');
SELECT task_id AS runs, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_append_event(:runs, 'note', lease_token => :l);
SELECT workflow_define('flow', '{"steps": [{"name": "a", "queue": "f"}, {"name": "b", "queue": "f", "needs": ["a"]}]}');
SELECT queue_create('f');
SELECT run_id AS run FROM workflow_start('flow') \gset
SELECT run_id AS over FROM workflow_start('flow') \gset
SELECT outcome FROM workflow_cancel(:over);
-- A slot that is held, and one that is free.
SELECT slot_set('key', 2);
SELECT queue_create('s');
SELECT outcome FROM task_create('s', key => 'slot', slot_keys => '{key}');
-- A task whose work is being undone: by a compensation that is done, and one that is not.
SELECT queue_create('c');
SELECT task_id AS undone FROM task_create('c') \gset
SELECT lease_token AS u FROM task_acquire_lease('c', 'w') \gset
SELECT outcome FROM unnest(ARRAY['first', 'second']) name, task_register_compensation(:undone, :u, name, 'c');
SELECT outcome FROM task_finalize(:undone, :u, 'failed');
SELECT f.outcome FROM task_acquire_lease('c', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT compensation_no, name, state FROM task_compensations(:undone);

-- Terminal rows, what was asked, the tape.
UPDATE baton.task_done SET state = 11;
UPDATE baton.task_done SET result = '2' WHERE task_id = :done;
DELETE FROM baton.task_done;
UPDATE baton.task SET payload = '2';
DELETE FROM baton.task WHERE task_id = :done;
UPDATE baton.event SET body = '{}';
DELETE FROM baton.event;
TRUNCATE baton.event;
-- Moves, leases, slots, counters.
UPDATE baton.task_live SET state = 2 WHERE task_id = :runs;
UPDATE baton.task_live SET lease_expires_at = lease_expires_at + interval '1 h';
UPDATE baton.task_live SET state = 3 WHERE task_id <> :runs;
DELETE FROM baton.task_live;
INSERT INTO baton.task_live SELECT * FROM baton.task_live WHERE task_id = :runs ON CONFLICT (task_id) DO UPDATE SET state = 2;
MERGE INTO baton.task_live l USING (SELECT 1) one ON true WHEN MATCHED THEN DELETE;
UPDATE baton.step_count SET remaining = 0;
UPDATE baton.slot SET holder = NULL;
DELETE FROM baton.slot WHERE holder IS NULL;
UPDATE baton.slot_key SET capacity = 1;
DELETE FROM baton.slot_key;
TRUNCATE baton.slot, baton.slot_key;
DELETE FROM baton.due;
DELETE FROM baton.dispatch;
UPDATE baton.queue SET max_attempts = 1;
-- What undoes something, and how that ended first.
UPDATE baton.compensation SET state = 10, finalized_at = now();
UPDATE baton.compensation SET payload = '2';
DELETE FROM baton.compensation;
UPDATE baton.saga SET state = 12;
DELETE FROM baton.saga;
TRUNCATE baton.compensation, baton.saga;
-- Runs.
UPDATE baton.run SET state = 10, finalized_at = now() WHERE run_id = :run;
UPDATE baton.run SET input = '1';
DELETE FROM baton.run WHERE run_id = :over;
UPDATE baton.step SET state = 10, finalized_at = now();
DELETE FROM baton.step_batch;
UPDATE baton.workflow SET definition = '{}';
DELETE FROM baton.workflow;
TRUNCATE baton.run, baton.step, baton.workflow;
TRUNCATE baton.queue, baton.task, baton.task_live, baton.task_done;
-- Also after a function has raised, in the same session and in the same transaction.
SELECT * FROM task_create(NULL);
DELETE FROM baton.task_live;
DO $$ BEGIN PERFORM task_acquire_lease('nowhere', 'w'); EXCEPTION WHEN undefined_object THEN UPDATE baton.task_live SET owner = 'x'; END $$;
DO $$ BEGIN PERFORM 1 / 0 FROM task_create('q'); EXCEPTION WHEN division_by_zero THEN UPDATE baton.task_live SET owner = 'x'; END $$;
BEGIN;
SELECT outcome FROM task_acquire_lease('q', 'w') l, task_release(l.task_id, l.lease_token);
SAVEPOINT s;
UPDATE baton.task_live SET owner = 'x';
ROLLBACK TO s;
-- A cursor that stands in the middle of a function's rows lets nobody through.
DECLARE c CURSOR FOR SELECT outcome FROM task_create_many('q', ARRAY['1', '2', '3']::jsonb[]);
FETCH 1 FROM c;
UPDATE baton.task_live SET owner = 'x';
ROLLBACK;

-- A function of the caller's that runs within a statement with one of ours gets no further either.
CREATE FUNCTION meddle() RETURNS text LANGUAGE plpgsql AS $$ BEGIN UPDATE baton.task_live SET owner = 'x'; RETURN 'got through'; END $$;
SELECT meddle() FROM task_events(:runs);
SELECT outcome, meddle() FROM task_heartbeat(:runs, :l, '1 h');

-- The owner of a table, who is no superuser, clears no live lease and brings nothing back that has ended.
CREATE ROLE regress_owner;
BEGIN;
GRANT USAGE ON SCHEMA baton TO regress_owner;
ALTER TABLE baton.task_live OWNER TO regress_owner;
ALTER TABLE baton.task_done OWNER TO regress_owner;
ALTER TABLE baton.run OWNER TO regress_owner;
SET LOCAL ROLE regress_owner;
\set ON_ERROR_ROLLBACK on
UPDATE baton.task_live SET state = 2, owner = NULL, lease_token = NULL, lease_expires_at = NULL WHERE task_id = :runs;
UPDATE baton.task_live SET lease_token = lease_token + 1 WHERE task_id = :runs;
UPDATE baton.task_done SET state = 3, finalized_at = NULL WHERE task_id = :done;
UPDATE baton.task_done SET state = 11 WHERE task_id = :done;
DELETE FROM baton.task_done WHERE task_id = :done;
UPDATE baton.run SET state = 0, finalized_at = NULL WHERE run_id = :over;
\set ON_ERROR_ROLLBACK off
ROLLBACK;

-- The CHECKs hold where a trigger does not reach.
BEGIN;
SET LOCAL session_replication_role = replica;
\set VERBOSITY sqlstate
\set ON_ERROR_ROLLBACK on
UPDATE baton.task_live SET lease_token = NULL WHERE task_id = :runs;
UPDATE baton.task_live SET owner = NULL WHERE task_id = :runs;
UPDATE baton.task_live SET lease_expires_at = NULL WHERE task_id = :runs;
UPDATE baton.task_live SET state = 2 WHERE task_id = :runs;
UPDATE baton.task_live SET state = 3 WHERE task_id <> :runs;
-- A live task has no finalized_at: it is in no terminal state.
UPDATE baton.task_live SET state = 10 WHERE task_id <> :runs;
UPDATE baton.task_done SET finalized_at = NULL;
UPDATE baton.task_done SET state = 3;
INSERT INTO baton.event SELECT * FROM baton.event;
INSERT INTO baton.slot_key (slot_key, capacity, lanes, slots, queue_ids, name) VALUES (0, -1, 0, 0, '{}', 'negative');
INSERT INTO baton.slot_key (slot_key, capacity, lanes, slots, queue_ids, name) VALUES (0, 1, 0, 0, '{}', 'key');
-- A slot is held or free, and a task holds one of each key.
UPDATE baton.slot SET holder = NULL WHERE holder IS NOT NULL;
UPDATE baton.slot SET free_seq = 1 WHERE holder IS NOT NULL;
UPDATE baton.slot SET free_seq = NULL WHERE holder IS NULL;
UPDATE baton.slot SET holder = 1 WHERE holder IS NULL;
INSERT INTO baton.slot (slot_key, holder) SELECT slot_key, holder FROM baton.slot WHERE holder IS NOT NULL;
-- What is due is one thing; of a slot key it says who left it.
INSERT INTO baton.due (due_id, queue_id) VALUES (0, 1);
INSERT INTO baton.due (due_id, step_id, slot_key, freed, queue_id) VALUES (0, 1, 1, true, 1);
INSERT INTO baton.due (due_id, slot_key, queue_id) VALUES (0, 1, 1);
INSERT INTO baton.due (due_id, step_id, freed, queue_id) VALUES (0, 1, true, 1);
-- A compensation has an end if and only if it has ended; a task runs one, and has a number once.
UPDATE baton.compensation SET state = 10 WHERE state IS NULL;
UPDATE baton.compensation SET finalized_at = now() WHERE state IS NULL;
UPDATE baton.compensation SET state = NULL WHERE state IS NOT NULL;
UPDATE baton.compensation SET finalized_at = NULL WHERE state IS NOT NULL;
UPDATE baton.compensation SET compensation_no = 1;
UPDATE baton.compensation SET compensation_task_id = 1;
INSERT INTO baton.saga SELECT * FROM baton.saga;
-- Nor does a task that is being undone stand in a terminal state.
UPDATE baton.task_live SET state = 13 WHERE task_id = :undone;
UPDATE baton.run SET state = 10 WHERE run_id = :run;
UPDATE baton.run SET state = 0 WHERE run_id = :over;
UPDATE baton.run SET finalized_at = NULL WHERE run_id = :over;
UPDATE baton.run SET state = 1 WHERE run_id = :run;
UPDATE baton.run SET checkpoint = 'here' WHERE run_id = :run;
UPDATE baton.step SET state = 10 WHERE run_id = :run;
UPDATE baton.step SET finalized_at = NULL WHERE run_id = :over;
UPDATE baton.step SET open_shards = -1 WHERE run_id = :run;
UPDATE baton.step SET successor = 'none' WHERE run_id = :run;
INSERT INTO baton.step SELECT (jsonb_populate_record(s, '{"step_id": 1000000}')).* FROM baton.step s WHERE run_id = :run;
UPDATE baton.workflow SET version = NULL;
UPDATE baton.workflow SET name = NULL;
INSERT INTO baton.workflow SELECT (jsonb_populate_record(w, '{"workflow_id": 1000000}')).* FROM baton.workflow w;
\set ON_ERROR_ROLLBACK off
\set VERBOSITY verbose
ROLLBACK;

-- Nothing has changed.
SELECT key, state, owner, result FROM unnest(ARRAY['done', 'runs', 'waits']) k, task_get_by_key('q', k);
SELECT outcome FROM task_finalize(:runs, :l, 'completed');
SELECT state FROM unnest(ARRAY[:run, :over]) id, workflow_get(id);
SELECT step, state FROM workflow_steps(:run);
SELECT slot_key, capacity, holders, waiters, draining FROM baton.slot_usage;
SELECT compensation_no, name, state FROM task_compensations(:undone);
SELECT f.outcome FROM task_acquire_lease('c', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT state, reason FROM task_get(:undone);

SELECT * FROM baton_check(true);
