-- Hands slots of key $1 that these tasks ($2) hold, and no longer need, to the next in line, from the
-- claim floor $3 on. Always one row at least, with the first visible waiter and the last place drawn; of each task that got one,
-- the key that it needs next, if it is not ready with it. Locks the waiters FOR UPDATE, skipping what others hold, and the slots as
-- UPDATE does; the slots are held by this transaction's own tasks.
WITH freed AS MATERIALIZED (
    SELECT s.number, row_number() OVER () AS rank
    FROM baton.slot s WHERE s.holder = ANY ($2) AND s.slot_key = $1
), first AS MATERIALIZED (
    SELECT ready_seq FROM baton.task_live
    WHERE waits_for = $1 AND ready_seq > $3
    ORDER BY waits_for, ready_seq LIMIT 1
), picked AS MATERIALIZED (
    SELECT task_id FROM baton.task_live
    WHERE waits_for = $1 AND ready_seq >= (SELECT ready_seq FROM first)
    ORDER BY waits_for, ready_seq LIMIT (SELECT count(*) FROM freed)
    FOR UPDATE SKIP LOCKED
), pair AS MATERIALIZED (
    SELECT p.task_id, f.number, nextval('baton.ready_seq') AS place
    FROM (SELECT task_id, row_number() OVER () AS rank FROM picked) p JOIN freed f USING (rank)
), given AS (
    UPDATE baton.slot s SET holder = p.task_id FROM pair p WHERE s.slot_key = $1 AND s.number = p.number
), woken AS (
    UPDATE baton.task_live l SET state = CASE WHEN l.run_slot_key <> $1 THEN 1 ELSE 2 END, waits_for = NULL, ready_seq = p.place,
        ready_at = CASE WHEN l.run_slot_key <> $1 THEN NULL ELSE baton._clock() END
    FROM pair p WHERE l.task_id = p.task_id
    RETURNING l.task_id, nullif(l.run_slot_key, $1) AS needs
)
SELECT (SELECT ready_seq FROM first), (SELECT last_value FROM baton.ready_seq), (SELECT count(*) FROM freed), woken.task_id, woken.needs
FROM (SELECT) one LEFT JOIN woken ON true
