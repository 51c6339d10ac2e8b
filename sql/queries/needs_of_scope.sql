-- Of a scope without a run: how many of the names needed have ended, be it the task itself or a successor
-- dispatched from it. Takes no lock.
SELECT count(DISTINCT n.name)
FROM unnest($3) AS n (name)
WHERE (n.name = $2 AND EXISTS (SELECT FROM baton.task_done d WHERE d.task_id = $1))
   OR EXISTS (SELECT FROM baton.dispatch s JOIN baton.task_done d ON d.task_id = s.task_id
              WHERE s.scope_id = $1 AND s.successor = n.name)
