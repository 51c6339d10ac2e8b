-- What that one answers.
SET search_path = "Tasks of all";
SELECT 'broken', * FROM baton_check(true);
SET ROLE backup_worker;
SELECT count(*) FROM task_acquire_lease('q', 'worker', max_tasks => 100) t, task_finalize(t.task_id, t.lease_token, 'completed');
SELECT state, count(*) FROM task_list('q') GROUP BY 1;
