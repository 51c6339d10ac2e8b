-- What keeps a queue from being dropped: tasks that have not ended, steps, successors and compensations that are still to be dispatched
-- into it, work that was left in it, a queue that tells it of its ends. Takes no lock.
SELECT (SELECT count(*) FROM baton.task_live WHERE queue_id = $1),
    (SELECT count(*) FROM baton.step s JOIN baton.run r USING (run_id) WHERE s.successor_queue_id = $1 AND r.state < 10
     AND NOT EXISTS (SELECT FROM baton.dispatch d WHERE d.scope_id = s.run_id AND d.successor = s.successor))
    + (SELECT count(*) FROM baton.step s WHERE s.queue_id = $1 AND s.state < 10)
    + (SELECT count(*) FROM baton.step s JOIN baton.run r USING (run_id) WHERE s.compensate_queue_id = $1 AND r.state < 10)
    + (SELECT count(*) FROM baton.compensation c WHERE c.queue_id = $1 AND c.compensation_task_id IS NULL AND c.state IS NULL
       AND (EXISTS (SELECT FROM baton.task_live l WHERE l.task_id = c.task_id) OR EXISTS (SELECT FROM baton.run r WHERE r.run_id = c.run_id AND r.state < 10))),
    (SELECT count(*) FROM baton.due WHERE queue_id = $1),
    q.queue_id, q.name
FROM (SELECT) one
LEFT JOIN LATERAL (
    SELECT queue_id, name FROM baton.queue WHERE on_final_queue_id = $1 AND queue_id <> $1 AND dropped_at IS NULL LIMIT 1
) q ON true
