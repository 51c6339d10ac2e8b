-- A new task that needs slots, all of which are free: it takes them and is in line. $10: the names of its keys, $11: what they are known as here, $12: the claim floors of their free slots; $13: its priority as a bit. No such task
-- if a slot is missing, a key is another one, drains, or does not know the queue or the priority, the queue is not the one that is held ($9), or the task's key is taken: then slots may be held under the id that is returned. A row a key: its first free slot,
-- the last place drawn. Locks the slots FOR UPDATE, skipping what others hold; waits for another transaction that is creating the same task key.
WITH q AS MATERIALIZED (
    SELECT queue_id, lanes, max_attempts FROM baton.queue WHERE queue_id = $9 AND name = $1 AND dropped_at IS NULL
), id AS MATERIALIZED (
    SELECT nextval('baton.id_seq') AS task_id
), free AS MATERIALIZED (
    SELECT u.ordinal, u.slot_key, first.free_seq AS first, found.place
    FROM unnest($10, $11, $12) WITH ORDINALITY AS u (name, slot_key, floor, ordinal)
    LEFT JOIN LATERAL (
        SELECT s.free_seq FROM baton.slot s
        WHERE s.slot_key = u.slot_key AND s.holder IS NULL AND s.free_seq > u.floor
        ORDER BY s.slot_key, s.free_seq LIMIT 1
    ) first ON true
    LEFT JOIN LATERAL (
        SELECT s.ctid AS place FROM baton.slot s
        WHERE s.slot_key = u.slot_key AND s.holder IS NULL AND s.free_seq >= first.free_seq
          AND EXISTS (SELECT FROM baton.slot_key k WHERE k.slot_key = u.slot_key AND k.name = u.name AND k.slots <= k.capacity AND k.lanes & $13 <> 0 AND $9 = ANY (k.queue_ids))
        ORDER BY s.slot_key, s.free_seq LIMIT 1
        FOR UPDATE OF s SKIP LOCKED
    ) found ON true
), taken AS (
    UPDATE baton.slot s SET holder = (SELECT task_id FROM id), free_seq = NULL
    FROM free f
    WHERE s.ctid = f.place AND (SELECT count(place) FROM free) = cardinality($11)
    RETURNING s.slot_key
), new AS (
    INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, slot_keys, name, key, payload, metadata)
    SELECT i.task_id, baton._clock(), q.queue_id, coalesce($7, q.max_attempts), $5, $11, $3, $4, $2, $8
    FROM q, id i WHERE (SELECT count(*) FROM taken) = cardinality($11)
    ON CONFLICT (queue_id, key) WHERE key IS NOT NULL DO NOTHING
    RETURNING task_id, created_at, queue_id
), live AS (
    INSERT INTO baton.task_live (task_id, slot_keys, ready_seq, ready_at, run_at, last_seq, queue_id, attempt, lost_leases, state, priority)
    SELECT task_id, $11, nextval('baton.ready_seq'), created_at, $6, 0, queue_id, 0, 0, 2, $5 FROM new
    RETURNING task_id
)
SELECT f.first, (SELECT last_value FROM baton.ready_seq), (SELECT task_id FROM id), (SELECT task_id FROM live) IS NOT NULL, (SELECT count(*) FROM taken) > 0, (SELECT lanes FROM q)
FROM free f ORDER BY f.ordinal
