-- Whether anything is left of these tasks, which are gone: a fixed snapshot did not show it. Takes no lock.
SELECT EXISTS (SELECT FROM unnest($1) AS u (task_id) JOIN baton.annotation USING (task_id))
    OR EXISTS (SELECT FROM unnest($1) AS u (task_id) JOIN baton.redrive USING (task_id))
    OR EXISTS (SELECT FROM unnest($1) AS u (task_id) JOIN baton.dispatch d ON d.scope_id = u.task_id)
