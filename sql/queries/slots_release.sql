-- Frees the slots that these tasks ($1) hold, and need no longer. Of each of their keys ($2): the first visible waiter of the priority $3, from the claim floor $4 on; whether one came over from another line; the last place drawn; the priorities of the key's tasks (a
-- bit each), whether it drains, whether it has a name. Locks the slots as UPDATE does; nobody else touches a slot that these tasks hold.
WITH freed AS (
    UPDATE baton.slot s SET holder = NULL, free_seq = nextval('baton.ready_seq') WHERE s.holder = ANY ($1)
)
SELECT first.ready_seq, EXISTS (SELECT FROM baton.task_live l WHERE l.waits_for = -u.slot_key), (SELECT last_value FROM baton.ready_seq), k.lanes, k.slots > k.capacity, k.name IS NOT NULL
FROM unnest($2, $3, $4) WITH ORDINALITY AS u (slot_key, priority, floor, ordinal)
LEFT JOIN baton.slot_key k USING (slot_key)
LEFT JOIN LATERAL (
    SELECT l.ready_seq FROM baton.task_live l
    WHERE l.waits_for = u.slot_key AND l.priority = u.priority AND l.ready_seq > u.floor
    ORDER BY l.waits_for, l.priority, l.ready_seq LIMIT 1
) first ON true
ORDER BY u.ordinal
