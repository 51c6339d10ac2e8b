-- What an operator looks at.

-- `default` exists after install: its row is made at first use (a row written by the install script
-- would break the restore of a dump).
CREATE VIEW baton.queue_stats AS
    SELECT q.name AS queue,
           s.scheduled, s.blocked, s.ready, s.running, s.compensating,
           s.oldest_ready_age, s.live_leases
    FROM (SELECT queue_id, name FROM baton.queue
          UNION ALL
          SELECT NULL, 'default' WHERE NOT EXISTS (SELECT FROM baton.queue WHERE name = 'default')) q
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE l.state = 0) AS scheduled,
               count(*) FILTER (WHERE l.state = 1) AS blocked,
               count(*) FILTER (WHERE l.state = 2) AS ready,
               count(*) FILTER (WHERE l.state = 3) AS running,
               count(*) FILTER (WHERE l.state = 4) AS compensating,
               max(baton._clock() - l.ready_at) FILTER (WHERE l.state = 2) AS oldest_ready_age,
               count(*) FILTER (WHERE l.state = 3 AND l.lease_expires_at > baton._clock()) AS live_leases
        FROM baton.task_live l WHERE l.queue_id = q.queue_id) s;

CREATE VIEW baton.leases AS
    SELECT l.task_id, q.name AS queue, t.key, t.name, l.owner, l.lease_token, l.leased_at, l.started_at, l.heartbeat_at,
           l.lease_expires_at, l.lease_expires_at <= baton._clock() AS expired
    FROM baton.task_live l
    JOIN baton.task t USING (task_id)
    JOIN baton.queue q ON q.queue_id = l.queue_id
    WHERE l.state = 3;

COMMENT ON VIEW baton.queue_stats IS 'A row a queue: its depth per state, how long the oldest ready task has been in line, and its live leases.';
COMMENT ON VIEW baton.leases IS 'A row a running task: who holds it, with which token, until when.';
