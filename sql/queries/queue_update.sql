-- Changes a queue's settings; NULL leaves as is. Takes the row lock of the queue (NO KEY UPDATE).
UPDATE baton.queue SET
    lease_ttl = coalesce($2, lease_ttl),
    max_attempts = coalesce($3, max_attempts),
    max_lost_leases = coalesce($4, max_lost_leases),
    backoff_base = coalesce($5, backoff_base),
    backoff_max = coalesce($6, backoff_max),
    max_runtime = coalesce($7, max_runtime),
    on_lost = coalesce($8, on_lost),
    on_final_queue = coalesce($9, on_final_queue),
    on_final_states = coalesce($10, on_final_states)
WHERE name = $1
RETURNING queue_id, lanes, lease_ttl, max_attempts, max_lost_leases, backoff_base, backoff_max, max_runtime, on_lost, on_final_queue, on_final_states
