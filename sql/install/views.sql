-- What an operator looks at. A role sees the queues that it may observe or work in, and gets 42501 if there are
-- none: a condition that is decided before any condition of the caller's (security_barrier), and once before the first row, so that
-- it is decided even if there is no row.

-- `default` exists after install: its row is made at first use (a row written by the install script
-- would break the restore of a dump).
CREATE VIEW baton.queue_stats WITH (security_barrier) AS
    SELECT q.name AS queue,
           coalesce(s.scheduled, 0) AS scheduled, coalesce(s.blocked, 0) AS blocked, coalesce(s.ready, 0) AS ready,
           coalesce(s.running, 0) AS running, coalesce(s.compensating, 0) AS compensating,
           s.oldest_ready_age, coalesce(s.live_leases, 0) AS live_leases, q.paused
    FROM (SELECT queue_id, name, paused_at IS NOT NULL AS paused FROM baton.queue WHERE dropped_at IS NULL
          UNION ALL
          SELECT NULL, 'default', false WHERE NOT EXISTS (SELECT FROM baton.queue WHERE name = 'default')) q
    -- The hot table is read once, not once per queue.
    LEFT JOIN (
        SELECT l.queue_id,
               count(*) FILTER (WHERE l.state = 0) AS scheduled,
               count(*) FILTER (WHERE l.state = 1) AS blocked,
               count(*) FILTER (WHERE l.state = 2) AS ready,
               count(*) FILTER (WHERE l.state = 3) AS running,
               count(*) FILTER (WHERE l.state = 4) AS compensating,
               max(baton._clock() - l.ready_at) FILTER (WHERE l.state = 2) AS oldest_ready_age,
               count(*) FILTER (WHERE l.state = 3 AND l.lease_expires_at > baton._clock()) AS live_leases
        FROM baton.task_live l GROUP BY l.queue_id) s USING (queue_id)
    WHERE baton._queues_seen() IS DISTINCT FROM '{}'
      AND ((SELECT baton._queues_seen()) IS NULL OR q.queue_id = ANY ((SELECT baton._queues_seen())::int[]));

CREATE VIEW baton.leases WITH (security_barrier) AS
    SELECT l.task_id, q.name AS queue, t.key, t.name, l.owner, l.lease_token, l.leased_at, l.started_at, l.heartbeat_at,
           l.lease_expires_at, l.lease_expires_at <= baton._clock() AS expired
    FROM baton.task_live l
    JOIN baton.task t USING (task_id)
    JOIN baton.queue q ON q.queue_id = l.queue_id
    WHERE l.state = 3 AND baton._queues_seen() IS DISTINCT FROM '{}'
      AND ((SELECT baton._queues_seen()) IS NULL OR l.queue_id = ANY ((SELECT baton._queues_seen())::int[]));

COMMENT ON VIEW baton.queue_stats IS 'A row a queue: its depth per state, how long the oldest ready task has been in line, its live leases, and whether it is paused.';
COMMENT ON VIEW baton.leases IS 'A row a running task: who holds it, with which token, until when.';
