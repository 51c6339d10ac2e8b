-- A database where the functions are in a schema of their own, with capabilities in one queue.
CREATE SCHEMA "Tasks of all";
CREATE EXTENSION pg_baton WITH SCHEMA "Tasks of all";
SET search_path = "Tasks of all";
SELECT queue_create('q', lease_ttl => '1 day'), baton_grant('backup_worker', 'work', 'q'), baton_grant('backup_worker', 'produce', 'q');
SELECT count(*) FROM task_create_many('q', array_fill('{}'::jsonb, '{10}'));
SELECT count(*) FROM task_acquire_lease('q', 'worker', max_tasks => 3) t, task_finalize(t.task_id, t.lease_token, 'completed');
