-- Heartbeats have extended these leases: looks at them again when they run out, up to 1000. Locks the tasks
-- FOR NO KEY UPDATE, skipping what others hold.
WITH picked AS MATERIALIZED (
    SELECT task_id FROM baton.task_live
    WHERE queue_id = $1 AND state = 3 AND check_at > $2 AND check_at <= (SELECT baton._clock())
      AND lease_expires_at > (SELECT baton._clock())
    ORDER BY queue_id, check_at LIMIT 1000
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE baton.task_live l SET check_at = l.lease_expires_at FROM picked p WHERE l.task_id = p.task_id
