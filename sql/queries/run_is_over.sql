-- Whether all tasks of the run of task $1 have ended. Takes no lock.
SELECT NOT EXISTS (SELECT FROM baton.step s WHERE s.run_id = t.run_id AND s.open_shards > 0)
    AND NOT EXISTS (SELECT FROM baton.dispatch d JOIN baton.task_live l USING (task_id) WHERE d.scope_id = t.run_id)
FROM baton.task t WHERE t.task_id = $1
