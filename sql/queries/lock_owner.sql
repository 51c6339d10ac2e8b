-- A task whose work is being undone, as it stands under its lock; no row if others hold it. Locks the task FOR UPDATE SKIP LOCKED: who waits for a batch of tasks in the order of their ids keeps
-- the locks of those that have begun to compensate meanwhile.
WITH locked AS MATERIALIZED (
    SELECT * FROM baton.task_live WHERE task_id = $1 FOR UPDATE SKIP LOCKED
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
