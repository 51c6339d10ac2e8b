-- Whether a run has a step before it, or under way. Takes no lock.
SELECT EXISTS (SELECT FROM baton.step WHERE run_id = $1 AND state < 10)
    OR EXISTS (SELECT FROM baton.dispatch d JOIN baton.task_live l USING (task_id) WHERE d.scope_id = $1)
