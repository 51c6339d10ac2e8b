-- The run of task $1, its state, and whether all its tasks have ended. Takes no lock.
SELECT r.run_id, r.state, NOT EXISTS (SELECT FROM baton.step s WHERE s.run_id = t.run_id AND s.state < 10)
    AND NOT EXISTS (SELECT FROM baton.dispatch d JOIN baton.task_live l USING (task_id) WHERE d.scope_id = t.run_id)
    AND r.workflow_id IS NULL AND r.state = 0
FROM baton.task t JOIN baton.run r USING (run_id) WHERE t.task_id = $1
