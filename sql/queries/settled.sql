-- What a lease was answered when it was given back, and whether its run was paused. Takes no lock.
SELECT kind, (body ->> 'run_at')::timestamptz, at, coalesce(body ->> 'state' = 'blocked', false)
FROM baton.event
WHERE tape_id = $1 AND lease_token = $2 AND kind IN ('retry_scheduled', 'released')
ORDER BY tape_id, lease_token LIMIT 1
