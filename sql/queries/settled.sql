-- What a lease was answered when it was given back. Takes no lock.
SELECT kind, (body ->> 'run_at')::timestamptz, at
FROM baton.event
WHERE tape_id = $1 AND lease_token = $2 AND kind IN ('retry_scheduled', 'released')
ORDER BY tape_id, lease_token LIMIT 1
