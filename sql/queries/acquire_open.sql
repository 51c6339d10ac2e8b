-- The queue an acquire is about, and what is due in it: the first overdue lease to look at, the first
-- scheduled task whose time has come, whether others left work, and whether items are to become tasks. Takes no lock.
SELECT q.queue_id, q.lanes, q.lease_ttl, q.max_runtime, n.now,
    (SELECT l.check_at FROM baton.task_live l
     WHERE l.queue_id = q.queue_id AND l.state = 3 AND l.check_at > $2 AND l.check_at <= n.now
     ORDER BY l.queue_id, l.check_at LIMIT 1),
    (SELECT l.run_at FROM baton.task_live l
     WHERE l.queue_id = q.queue_id AND l.state = 0 AND l.run_at > $3 AND l.run_at <= n.now
     ORDER BY l.queue_id, l.run_at LIMIT 1),
    EXISTS (SELECT FROM baton.due d WHERE d.queue_id = q.queue_id), q.paused_at IS NOT NULL,
    EXISTS (SELECT FROM baton.step_batch b WHERE b.queue_id = q.queue_id)
FROM baton.queue q, (SELECT baton._clock() AS now) n
WHERE q.name = $1 AND q.dropped_at IS NULL AND ($4 IS NULL OR q.queue_id = ANY ($4))
