-- A queue's settings. Takes no lock.
SELECT queue_id, lanes, lease_ttl, max_attempts, max_lost_leases, backoff_base, backoff_max, max_runtime, on_lost, on_final_queue, on_final_states
FROM baton.queue
WHERE name = $1
