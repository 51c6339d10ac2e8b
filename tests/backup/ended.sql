-- How it all has ended.
SELECT 'broken', * FROM baton_check(true);
SELECT 'left', q.name, min(t.key), baton._state_name(l.state), count(*)
  FROM baton.task_live l JOIN baton.task t USING (task_id) JOIN baton.queue q ON q.queue_id = l.queue_id GROUP BY 2, 4 ORDER BY 2, 4;
SELECT 'left', run_id, name, key FROM baton.run WHERE workflow_id IS NOT NULL AND finalized_at IS NULL ORDER BY run_id;
SELECT 'left', (SELECT count(*) FROM baton.due) AS due, (SELECT count(*) FROM baton.step_batch) AS batches,
       (SELECT count(*) FROM baton.slot WHERE holder IS NOT NULL) AS held;
-- Who was to follow a group that has ended, and how often he was dispatched.
SELECT 'join', count(*) FILTER (WHERE d = 1) >= 4 AS once, count(*) FILTER (WHERE d <> 1) AS otherwise
  FROM (SELECT (SELECT count(*) FROM baton.step f WHERE f.run_id = s.run_id AND f.name = s.successor AND f.total = 1) AS d
          FROM baton.step s WHERE s.successor IS NOT NULL AND s.state >= 10) s;
