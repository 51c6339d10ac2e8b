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
DELETE FROM baton.dispatch;
UPDATE baton.queue SET max_attempts = 1;
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
INSERT INTO baton.slot_key VALUES (0, -1, 'negative');
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

SELECT * FROM baton_check(true);
