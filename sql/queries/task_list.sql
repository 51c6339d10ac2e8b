-- A page of the newest tasks, in any order, below the id $5: of the queue $1 (NULL: all that the caller may touch, $8), in the live
-- states $2 and the terminal states $3, with the name $4 and the owner $6. What is finished is read along
-- its index, a page per queue and state (not state = …: then the planner may walk the primary key); what is live, from the hot table. Takes no lock.
WITH queues AS MATERIALIZED (
    SELECT queue_id, name FROM baton.queue
    WHERE ($1 IS NULL OR name = $1) AND ($8 IS NULL OR queue_id = ANY ($8))
), live AS MATERIALIZED (
    SELECT l.task_id FROM baton.task_live l
    WHERE cardinality($2) > 0 AND l.task_id < $5 AND l.state = ANY ($2) AND l.queue_id IN (SELECT queue_id FROM queues)
      AND ($6 IS NULL OR l.owner = $6)
      AND ($4 IS NULL OR EXISTS (SELECT FROM baton.task t WHERE t.task_id = l.task_id AND t.name = $4))
    ORDER BY l.task_id DESC LIMIT $7
), done AS MATERIALIZED (
    SELECT e.task_id
    FROM queues q
    CROSS JOIN unnest($3) AS s (state)
    CROSS JOIN LATERAL (
        SELECT d.task_id FROM baton.task_done d
        WHERE d.queue_id = q.queue_id AND (d.state, d.task_id) < (s.state, $5) AND d.state >= s.state
          AND ($4 IS NULL OR EXISTS (SELECT FROM baton.task t WHERE t.task_id = d.task_id AND t.name = $4))
        ORDER BY d.queue_id DESC, d.state DESC, d.task_id DESC LIMIT $7
    ) e
), page AS MATERIALIZED (
    SELECT task_id FROM live UNION ALL SELECT task_id FROM done
    ORDER BY task_id DESC LIMIT $7
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
