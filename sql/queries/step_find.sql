-- A step by its run and name, or by its queue and key; whether a definition says it, and whether its successor is dispatched.
-- Takes no lock.
SELECT s.step_id, s.run_id, s.queue_id, s.name, s.defined,
    EXISTS (SELECT FROM baton.dispatch d WHERE d.scope_id = s.run_id AND d.successor = s.successor)
FROM baton.step s
WHERE s.run_id = $1 AND s.name = $2
UNION ALL
SELECT s.step_id, s.run_id, s.queue_id, s.name, s.defined,
    EXISTS (SELECT FROM baton.dispatch d WHERE d.scope_id = s.run_id AND d.successor = s.successor)
FROM baton.step s
WHERE s.queue_id = $3 AND s.key = $4
LIMIT 1
