-- A queue's settings. Takes no lock.
SELECT queue_id, lanes, lease_ttl, max_attempts, max_runtime
FROM baton.queue
WHERE name = $1 AND dropped_at IS NULL
