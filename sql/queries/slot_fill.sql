-- Gives free slots of the key to who is in line, what was due. Locks slots and waiters FOR UPDATE, skipping
-- what others hold.
WITH free AS MATERIALIZED (
    SELECT number FROM baton.slot WHERE slot_key = $1 AND holder IS NULL
    ORDER BY slot_key, number LIMIT 100
    FOR UPDATE SKIP LOCKED
), picked AS MATERIALIZED (
    SELECT task_id FROM baton.task_live
    WHERE slot_key = $1 AND state = 1
    ORDER BY slot_key, ready_seq LIMIT (SELECT count(*) FROM free)
    FOR UPDATE SKIP LOCKED
), pair AS MATERIALIZED (
    SELECT p.task_id, f.number, nextval('baton.ready_seq') AS place
    FROM (SELECT task_id, row_number() OVER () AS rank FROM picked) p
    JOIN (SELECT number, row_number() OVER () AS rank FROM free) f USING (rank)
), given AS (
    UPDATE baton.slot s SET holder = p.task_id FROM pair p WHERE s.slot_key = $1 AND s.number = p.number
)
UPDATE baton.task_live l SET state = 2, ready_seq = p.place, ready_at = baton._clock()
FROM pair p WHERE l.task_id = p.task_id
RETURNING l.task_id
