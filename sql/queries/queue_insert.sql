-- A new queue, or one that was dropped, anew; no row if the name is taken. Locks no row but its own (it waits for
-- another transaction that is inserting the same name).
INSERT INTO baton.queue (name, lease_ttl, max_attempts, max_lost_leases, backoff_base, backoff_max, max_runtime, on_lost, on_final_queue_id, on_final_states, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, baton._clock())
ON CONFLICT (name) DO UPDATE SET
    lease_ttl = $2, max_attempts = $3, max_lost_leases = $4, backoff_base = $5, backoff_max = $6, max_runtime = $7,
    on_lost = $8, on_final_queue_id = $9, on_final_states = $10, created_at = baton._clock(), paused_at = NULL, dropped_at = NULL
WHERE queue.dropped_at IS NOT NULL
RETURNING queue_id
