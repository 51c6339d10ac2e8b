-- Through PgBouncer in transaction mode every transaction here runs on another backend than the one before, three in turn:
-- what one of them has learned and kept must not outlive what another one changes.
CREATE TABLE turn (pid int);
INSERT INTO turn SELECT pg_backend_pid();
INSERT INTO turn SELECT pg_backend_pid();
INSERT INTO turn SELECT pg_backend_pid();
INSERT INTO turn SELECT pg_backend_pid();
SELECT count(*), count(DISTINCT pid) FROM turn;

-- A queue that all of them know is dropped, and comes back.
SELECT queue_create('mail');
SELECT outcome FROM task_create('mail');
SELECT outcome FROM task_create('mail');
SELECT outcome FROM task_create('mail');
SELECT f.outcome FROM task_acquire_lease('mail', 'one', max_tasks => 3) a, task_finalize(a.task_id, a.lease_token, 'completed') f;
SELECT queue_drop('mail');
SELECT outcome FROM task_create('mail');
SELECT count(*) FROM task_acquire_lease('mail', 'one');
SELECT outcome FROM task_create('mail');
SELECT queue_create('mail');
SELECT outcome FROM task_create('mail');
SELECT outcome FROM task_create('mail');
SELECT outcome FROM task_create('mail');
SELECT queue_pause('mail');
SELECT count(*) FROM task_acquire_lease('mail', 'one');
SELECT count(*) FROM task_acquire_lease('mail', 'one');
SELECT count(*) FROM task_acquire_lease('mail', 'one');
SELECT queue_resume('mail');

-- What a role may do is given and taken back. SET LOCAL ends with the transaction; SET would stay with the backend.
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;
SELECT baton_grant('driver_guest', 'produce', 'mail');
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('default'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('default'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('default'); COMMIT;
SELECT baton_grant('driver_guest', 'produce', 'default');
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('default'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('default'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('default'); COMMIT;
SELECT baton_revoke('driver_guest', 'produce', 'mail');
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;
SELECT baton_revoke('driver_guest', 'produce', 'default');
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;
BEGIN; SET LOCAL ROLE driver_guest; SELECT outcome FROM task_create('mail'); COMMIT;

-- A lease that one of them has granted, and everything about it from the others.
SELECT task_id, lease_token FROM task_acquire_lease('mail', 'one') \gset
SELECT outcome FROM task_heartbeat(:task_id, :lease_token);
SELECT outcome, seq FROM task_append_event(:task_id, 'seen', '1', :lease_token);
BEGIN; SELECT task_require_lease(:task_id, :lease_token); INSERT INTO turn VALUES (0); COMMIT;
SELECT outcome FROM task_finalize(:task_id, :lease_token, 'completed');
SELECT outcome FROM task_dispatch_successor(:task_id, 'after', 'mail');
SELECT outcome FROM task_dispatch_successor(:task_id, 'after', 'mail');
SELECT outcome FROM task_dispatch_successor(:task_id, 'after', 'mail');

-- Another definition under the same name.
SELECT queue_create('steps');
SELECT workflow_define('trip', '{"steps": [{"name": "a", "queue": "steps"}]}');
SELECT outcome FROM workflow_start('trip');
SELECT outcome FROM workflow_start('trip');
SELECT outcome FROM workflow_start('trip');
SELECT workflow_define('trip', '{"steps": [{"name": "a", "queue": "steps"}, {"name": "b", "queue": "steps", "needs": ["a"]}]}');
SELECT outcome FROM workflow_start('trip');
SELECT a.name, cardinality(f.dispatched) FROM task_acquire_lease('steps', 'one', max_tasks => 4) a, task_finalize(a.task_id, a.lease_token, 'completed') f;
SELECT a.name, cardinality(f.dispatched) FROM task_acquire_lease('steps', 'one', max_tasks => 4) a, task_finalize(a.task_id, a.lease_token, 'completed') f;
SELECT count(*) FROM task_acquire_lease('steps', 'one');
SELECT * FROM baton_check(true);

-- The extension itself is created anew, and another queue gets the number that one of the old ones had.
DROP EXTENSION pg_baton CASCADE;
CREATE EXTENSION pg_baton;
SELECT outcome FROM task_create('mail');
SELECT queue_create('other');
SELECT outcome FROM task_create('mail');
SELECT outcome FROM task_create('mail');
SELECT outcome FROM task_create('mail');
SELECT queue_create('mail');
SELECT outcome FROM task_create('mail');
SELECT outcome FROM task_create('mail');
SELECT outcome FROM task_create('mail');
SELECT count(*) FROM task_acquire_lease('other', 'one', max_tasks => 9);
SELECT a.attempt, f.outcome FROM task_acquire_lease('mail', 'one', max_tasks => 9) a, task_finalize(a.task_id, a.lease_token, 'completed') f;
SELECT * FROM baton_check(true);
