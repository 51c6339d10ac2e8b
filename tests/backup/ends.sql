-- How each of them has ended, in a copy of a database at rest.
SELECT 'run', coalesce(name, '-'), coalesce(key, '-'), state FROM baton.workflow_progress ORDER BY run_id;
SELECT 'tasks', q.name, coalesce(t.name, '-'), baton._state_name(d.state), count(*)
  FROM baton.task_done d JOIN baton.task t USING (task_id) JOIN baton.queue q ON q.queue_id = t.queue_id
 WHERE q.name NOT LIKE 'tenant %' AND q.name <> 'soon' GROUP BY 2, 3, 4 ORDER BY 2, 3, 4;
