-- Gives free slots of the key to who is in line, up to 100; of each, the key that it needs next, if it is not ready with this one. Locks
-- slots and waiters FOR UPDATE, skipping what others hold.
WITH free AS MATERIALIZED (
    SELECT number FROM baton.slot WHERE slot_key = $1 AND holder IS NULL
    ORDER BY slot_key, number LIMIT 100
    FOR UPDATE SKIP LOCKED
), picked AS MATERIALIZED (
    SELECT task_id FROM baton.task_live
    WHERE waits_for = $1
    ORDER BY waits_for, ready_seq LIMIT (SELECT count(*) FROM free)
    FOR UPDATE SKIP LOCKED
), pair AS MATERIALIZED (
    SELECT p.task_id, f.number, nextval('baton.ready_seq') AS place
    FROM (SELECT task_id, row_number() OVER () AS rank FROM picked) p
    JOIN (SELECT number, row_number() OVER () AS rank FROM free) f USING (rank)
), given AS (
    UPDATE baton.slot s SET holder = p.task_id FROM pair p WHERE s.slot_key = $1 AND s.number = p.number
)
UPDATE baton.task_live l SET state = CASE WHEN l.run_slot_key <> $1 THEN 1 ELSE 2 END, waits_for = NULL, ready_seq = p.place,
    ready_at = CASE WHEN l.run_slot_key <> $1 THEN NULL ELSE baton._clock() END
FROM pair p WHERE l.task_id = p.task_id
RETURNING l.task_id, nullif(l.run_slot_key, $1)
