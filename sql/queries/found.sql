-- A task as it stands, live or done, for the answer to a call that came too late. Takes no lock.
SELECT state, lease_token, false, coalesce(lease_expires_at <= baton._clock(), false), started_at IS NOT NULL,
    last_seq, lease_expires_at, cancel_requested_at IS NOT NULL, NULL::timestamptz
FROM baton.task_live WHERE task_id = $1 AND ($2 IS NULL OR queue_id = ANY ($2))
UNION ALL
SELECT state, lease_token, ended_by_lease, false, started_at IS NOT NULL, last_seq, NULL, cancel_requested_at IS NOT NULL, finalized_at
FROM baton.task_done WHERE task_id = $1 AND ($2 IS NULL OR queue_id = ANY ($2))
