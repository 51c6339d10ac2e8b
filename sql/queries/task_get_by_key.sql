-- A task by its key, whole. Takes no lock.
SELECT t.task_id, q.name, t.name, t.key, baton._state_name(coalesce(l.state, d.state)), d.reason, t.priority::int, coalesce(l.run_at, d.run_at),
    coalesce(l.attempt, d.attempt), t.max_attempts, coalesce(l.lost_leases, d.lost_leases),
    l.owner, l.lease_token, coalesce(l.leased_at, d.leased_at), coalesce(l.heartbeat_at, d.heartbeat_at), l.lease_expires_at,
    coalesce(l.started_at, d.started_at), coalesce(l.cancel_requested_at, d.cancel_requested_at),
    t.payload, d.result, d.error, t.metadata, t.run_id, t.item_index, (SELECT array_agg(k.name ORDER BY u.place) FROM unnest(t.slot_keys) WITH ORDINALITY AS u (slot_key, place) JOIN baton.slot_key k USING (slot_key) WHERE k.name IS NOT NULL), t.redrive_of,
    coalesce(l.last_seq, d.last_seq), t.created_at, d.finalized_at
FROM baton.task t
JOIN baton.queue q USING (queue_id)
LEFT JOIN baton.task_live l USING (task_id)
LEFT JOIN baton.task_done d USING (task_id)
WHERE q.name = $1 AND t.key = $2 AND ($3 IS NULL OR t.queue_id = ANY ($3))
