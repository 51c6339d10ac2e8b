-- Gives free slots of key $1 to who is in the line of priority $2, from the claim floors $3 (of the line) and $4 (of the free slots) on, up to 100. (Who came over from another key's line
-- is in a line of its own, -$1; who stands before the first of the other one is served first. $5: of this line only (1), of that one only (2), because all who stand first in the other are locked.) Always one row at least: the first visible waiter, whether one came over, whether one could not be given what was locked for him (others took and freed that slot again since
-- this statement began), the first free slot, the last place drawn, whether free ones and waiters are left (locked by others, perhaps); of each task that got one, its keys and its queue: one that needs others, too, is not ready yet. Locks slots and
-- waiters FOR UPDATE, skipping what others hold.
WITH first AS MATERIALIZED (
    SELECT ready_seq FROM baton.task_live
    WHERE waits_for = $1 AND priority = $2 AND ready_seq > $3
    ORDER BY waits_for, priority, ready_seq LIMIT 1
), over AS MATERIALIZED (
    SELECT ready_seq FROM baton.task_live
    WHERE waits_for = -$1 AND priority = $2
    ORDER BY waits_for, priority, ready_seq LIMIT 1
), line AS MATERIALIZED (
    SELECT CASE WHEN o.ready_seq < coalesce(f.ready_seq, o.ready_seq + 1) THEN -$1 ELSE $1 END AS slot_key, least(f.ready_seq, o.ready_seq) AS first,
           -- Of either as far as the other one's first.
           CASE WHEN o.ready_seq < f.ready_seq THEN f.ready_seq WHEN f.ready_seq < o.ready_seq THEN o.ready_seq ELSE 9223372036854775807 END AS before
    FROM (SELECT) one LEFT JOIN first f ON $5 <> 2 LEFT JOIN over o ON $5 <> 1
), first_free AS MATERIALIZED (
    SELECT free_seq FROM baton.slot
    WHERE slot_key = $1 AND holder IS NULL AND free_seq > $4
    ORDER BY slot_key, free_seq LIMIT 1
), free AS MATERIALIZED (
    SELECT ctid AS place FROM baton.slot
    WHERE slot_key = $1 AND holder IS NULL AND free_seq >= (SELECT free_seq FROM first_free) AND (SELECT first IS NOT NULL FROM line)
    ORDER BY slot_key, free_seq LIMIT 100
    FOR UPDATE SKIP LOCKED
), picked AS MATERIALIZED (
    SELECT task_id, slot_keys, queue_id FROM baton.task_live
    WHERE waits_for = (SELECT slot_key FROM line) AND priority = $2 AND ready_seq >= (SELECT first FROM line) AND ready_seq < (SELECT before FROM line)
    ORDER BY waits_for, priority, ready_seq LIMIT (SELECT count(*) FROM free)
    FOR UPDATE SKIP LOCKED
), pair AS MATERIALIZED (
    SELECT p.*, f.place AS slot, CASE WHEN cardinality(p.slot_keys) = 1 THEN nextval('baton.ready_seq') END AS place
    FROM (SELECT picked.*, row_number() OVER () AS rank FROM picked) p
    JOIN (SELECT free.*, row_number() OVER () AS rank FROM free) f USING (rank)
), given AS (
    UPDATE baton.slot s SET holder = p.task_id, free_seq = NULL
    FROM pair p WHERE s.ctid = p.slot
    RETURNING s.holder
), woken AS (
    UPDATE baton.task_live l SET state = 2, waits_for = NULL, ready_seq = p.place, ready_at = baton._clock()
    FROM pair p JOIN given g ON g.holder = p.task_id WHERE l.task_id = p.task_id AND p.place IS NOT NULL
), seen AS MATERIALIZED (
    SELECT (SELECT count(*) FROM (SELECT FROM baton.slot WHERE slot_key = $1 AND holder IS NULL AND free_seq >= (SELECT free_seq FROM first_free)
                                  ORDER BY slot_key, free_seq LIMIT 1 + (SELECT count(*) FROM pair)) f) > (SELECT count(*) FROM given) AS free,
           (SELECT count(*) FROM (SELECT FROM baton.task_live WHERE waits_for = $1 AND priority = $2 AND ready_seq >= (SELECT ready_seq FROM first)
                                  ORDER BY waits_for, priority, ready_seq LIMIT 1 + (SELECT count(*) FROM pair)) w)
           + (SELECT count(*) FROM (SELECT FROM baton.task_live WHERE waits_for = -$1 AND priority = $2
                                    ORDER BY waits_for, priority, ready_seq LIMIT 1 + (SELECT count(*) FROM pair)) w) > (SELECT count(*) FROM given) AS waiting
)
SELECT (SELECT ready_seq FROM first), EXISTS (SELECT FROM over), (SELECT count(*) FROM pair) > (SELECT count(*) FROM given), (SELECT free_seq FROM first_free), (SELECT last_value FROM baton.ready_seq), (SELECT free FROM seen), (SELECT waiting FROM seen), p.task_id, p.slot_keys, p.queue_id
FROM (SELECT) one LEFT JOIN (SELECT p.* FROM pair p JOIN given g ON g.holder = p.task_id) p ON true
