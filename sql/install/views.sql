-- What an operator looks at. A role sees the queues that it may observe or work in, and gets 42501 if there are
-- none: a condition that is decided before any condition of the caller's (security_barrier), and once before the first row, so that
-- it is decided even if there is no row.

SET LOCAL search_path = pg_catalog, pg_temp; -- see schema.sql

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

CREATE VIEW baton.workflow_progress WITH (security_barrier) AS
    SELECT r.run_id, r.name, r.version, r.key,
           CASE r.state WHEN 0 THEN 'running' WHEN 1 THEN 'paused' WHEN 2 THEN 'cancelling' WHEN 3 THEN 'compensating' WHEN 4 THEN 'running' WHEN 10 THEN 'completed'
               WHEN 11 THEN 'failed' WHEN 12 THEN 'cancelled' WHEN 13 THEN 'compensated' WHEN 14 THEN 'quarantined' END AS state,
           r.checkpoint, s.steps, s.steps_ended, coalesce(c.tasks, 0) AS tasks, coalesce(l.running, 0) AS running, coalesce(c.completed, 0) AS completed,
           coalesce(c.failed, 0) AS failed, coalesce(c.cancelled, 0) AS cancelled, r.created_at, r.finalized_at
    FROM baton.run r
    CROSS JOIN LATERAL (
        SELECT count(*) AS steps, count(*) FILTER (WHERE s.state >= 10) AS steps_ended, array_agg(s.queue_id) AS queue_ids,
               array_agg(s.step_id) AS step_ids, array_agg(s.step_id) FILTER (WHERE s.state = 1) AS open_ids
        FROM baton.step s WHERE s.run_id = r.run_id) s
    CROSS JOIN LATERAL (
        SELECT sum(c.remaining + c.completed + c.failed + c.cancelled) AS tasks, sum(c.completed) AS completed, sum(c.failed) AS failed, sum(c.cancelled) AS cancelled
        FROM baton.step_count c WHERE c.step_id = ANY (s.step_ids)) c
    CROSS JOIN LATERAL (SELECT count(*) AS running FROM baton.task_live l WHERE l.step_id = ANY (s.open_ids) AND l.state = 3) l
    WHERE baton._queues_seen() IS DISTINCT FROM '{}'
      AND ((SELECT baton._queues_seen()) IS NULL OR s.queue_ids && (SELECT baton._queues_seen())::int[]);

-- Holders and waiters are those in the caller's queues.
CREATE VIEW baton.slot_usage WITH (security_barrier) AS
    SELECT k.name AS slot_key, coalesce(s.run_id, r.run_id) AS run_id, s.name AS step, k.capacity,
           coalesce(h.holders, 0) AS holders, coalesce(w.waiters, 0) AS waiters, k.slots > k.capacity AS draining
    FROM baton.slot_key k
    LEFT JOIN baton.step s ON s.step_id = k.slot_key
    LEFT JOIN baton.run r ON r.run_id = k.slot_key
    -- The tables are read once, not once per key.
    LEFT JOIN (
        SELECT o.slot_key, count(*) AS holders FROM baton.slot o
        WHERE o.holder IS NOT NULL
          AND ((SELECT baton._queues_seen()) IS NULL
               OR EXISTS (SELECT FROM baton.task_live l WHERE l.task_id = o.holder AND l.queue_id = ANY ((SELECT baton._queues_seen())::int[])))
        GROUP BY o.slot_key) h ON h.slot_key = k.slot_key
    LEFT JOIN (
        SELECT abs(l.waits_for) AS slot_key, count(*) AS waiters FROM baton.task_live l
        WHERE l.waits_for IS NOT NULL
          AND ((SELECT baton._queues_seen()) IS NULL OR l.queue_id = ANY ((SELECT baton._queues_seen())::int[]))
        GROUP BY abs(l.waits_for)) w ON w.slot_key = k.slot_key
    WHERE baton._queues_seen() IS DISTINCT FROM '{}'
      AND ((SELECT baton._queues_seen()) IS NULL OR k.queue_ids && (SELECT baton._queues_seen())::int[]);

COMMENT ON VIEW baton.slot_usage IS 'A row a slot key (with a name, or the bound of a step or a run): its capacity, how many tasks hold a slot of it, how many wait for one, and whether it drains because it was lowered.';
COMMENT ON VIEW baton.workflow_progress IS 'A row a run: its state, how many of its steps have ended, and its tasks: how many run, and how the others ended.';
COMMENT ON VIEW baton.queue_stats IS 'A row a queue: its depth per state, how long the oldest ready task has been in line, its live leases, and whether it is paused.';
COMMENT ON VIEW baton.leases IS 'A row a running task: who holds it, with which token, until when.';

SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('baton.install_path'), true);
