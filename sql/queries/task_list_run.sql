-- The same for the tasks of one run ($9): its steps' items, those that were redriven there, and successors that are no step. Takes no lock.
WITH RECURSIVE of_run (task_id, redrive_of) AS (
    SELECT i.task_id, i.redrive_of FROM baton.step s JOIN baton.task i USING (step_id) WHERE s.run_id = $9
    UNION
    SELECT i.task_id, i.redrive_of FROM baton.dispatch p JOIN baton.task i USING (task_id) WHERE p.scope_id = $9
    UNION
    SELECT i.task_id, i.redrive_of FROM of_run p JOIN baton.task i ON i.task_id = p.redrive_of
), found AS MATERIALIZED (
    SELECT r.task_id
    FROM of_run r
    JOIN baton.task t USING (task_id)
    JOIN baton.queue q USING (queue_id)
    LEFT JOIN baton.task_live l USING (task_id)
    LEFT JOIN baton.task_done d USING (task_id)
    WHERE t.run_id = $9 AND r.task_id < $5 AND (l.state = ANY ($2) OR d.state = ANY ($3))
      AND ($1 IS NULL OR q.name = $1) AND ($8 IS NULL OR q.queue_id = ANY ($8))
      AND ($4 IS NULL OR t.name = $4) AND ($6 IS NULL OR l.owner = $6)
), page AS MATERIALIZED (
    SELECT task_id FROM found ORDER BY task_id DESC LIMIT $7
)
SELECT t.task_id, q.name, t.name, t.key, baton._state_name(coalesce(l.state, d.state)), d.reason, t.priority::int, coalesce(l.run_at, d.run_at),
    coalesce(l.attempt, d.attempt), t.max_attempts, coalesce(l.lost_leases, d.lost_leases),
    l.owner, l.lease_token, coalesce(l.leased_at, d.leased_at), coalesce(l.heartbeat_at, d.heartbeat_at), l.lease_expires_at,
    coalesce(l.started_at, d.started_at), coalesce(l.cancel_requested_at, d.cancel_requested_at),
    t.metadata, t.run_id, t.item_index, (SELECT array_agg(k.name ORDER BY u.place) FROM unnest(t.slot_keys) WITH ORDINALITY AS u (slot_key, place) JOIN baton.slot_key k USING (slot_key) WHERE k.name IS NOT NULL), t.redrive_of,
    coalesce(l.last_seq, d.last_seq), t.created_at, d.finalized_at
FROM page p
JOIN baton.task t USING (task_id)
JOIN baton.queue q USING (queue_id)
LEFT JOIN baton.task_live l USING (task_id)
LEFT JOIN baton.task_done d USING (task_id)
