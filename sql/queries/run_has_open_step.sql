-- Whether a run has a step that waits or runs, or a successor that has not ended. Takes no lock.
SELECT EXISTS (SELECT FROM baton.step WHERE run_id = $1 AND state < 10)
    OR EXISTS (SELECT FROM baton.dispatch d JOIN baton.task_live l USING (task_id) WHERE d.scope_id = $1)
