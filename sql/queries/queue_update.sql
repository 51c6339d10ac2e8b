-- Changes a queue's settings; NULL leaves as is; no row if there is nobody to tell of the states $10. $11: no max_runtime; $12: no on_final_queue. Takes the row lock
-- of the queue (NO KEY UPDATE).
UPDATE baton.queue SET
    lease_ttl = coalesce($2, lease_ttl),
    max_attempts = coalesce($3, max_attempts),
    max_lost_leases = coalesce($4, max_lost_leases),
    backoff_base = coalesce($5, backoff_base),
    backoff_max = coalesce($6, backoff_max),
    max_runtime = CASE WHEN NOT $11 THEN coalesce($7, max_runtime) END,
    on_lost = coalesce($8, on_lost),
    on_final_queue_id = CASE WHEN NOT $12 THEN coalesce($9, on_final_queue_id) END,
    on_final_states = CASE WHEN NOT $12 THEN coalesce($10, on_final_states, CASE WHEN $9 IS NOT NULL THEN $13 END) END
WHERE queue_id = $1 AND dropped_at IS NULL AND ($10 IS NULL OR NOT $12 AND coalesce($9, on_final_queue_id) IS NOT NULL)
RETURNING true
