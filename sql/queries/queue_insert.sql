-- A new queue; no row if the name is taken. Takes no lock beyond the new row's own (it waits for
-- another transaction that is inserting the same name).
INSERT INTO baton.queue (name, lease_ttl, max_attempts, max_lost_leases, backoff_base, backoff_max, max_runtime, on_lost, on_final_queue, on_final_states, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, baton._clock())
ON CONFLICT (name) DO NOTHING
RETURNING queue_id
