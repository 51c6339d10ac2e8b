-- The same for up to $3 leases that have run out. Locks the tasks FOR UPDATE, skipping what others
-- hold.
WITH locked AS MATERIALIZED (
    SELECT * FROM baton.task_live
    WHERE queue_id = $1 AND state = 3 AND check_at > $2 AND check_at <= (SELECT baton._clock())
      AND lease_expires_at <= (SELECT baton._clock())
    ORDER BY queue_id, check_at LIMIT $3
    FOR UPDATE SKIP LOCKED
), k AS MATERIALIZED (
    SELECT locked.*, baton._clock() AS now FROM locked
)
SELECT k.task_id, k.queue_id, k.step_id, k.shard, k.compensates, k.compensable, k.slot_keys, k.state, k.owner, k.lease_expires_at, k.attempt, k.lost_leases,
    k.started_at IS NOT NULL, k.cancel_requested_at IS NOT NULL, k.cancel_reason,
    k.lease_expires_at <= k.now, coalesce(k.lease_expires_at >= k.leased_at + coalesce(k.max_runtime, q.max_runtime), false), coalesce(k.run_at <= k.now, true),
    t.max_attempts, q.max_lost_leases, q.on_lost, q.backoff_base, q.backoff_max, q.paused_at IS NOT NULL, q.lease_ttl, coalesce(k.max_runtime, q.max_runtime), coalesce(k.registrations, 0)
FROM k
JOIN baton.task t USING (task_id)
JOIN baton.queue q ON q.queue_id = k.queue_id
