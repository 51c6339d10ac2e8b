-- Takes a free slot of each of the keys $2 for task $1: all or none. Of each key, in order: its first free slot (locked by others or not), the
-- last place drawn, whether one was found that could be locked (never in a key that drains: it may have more than it should), and whether it was taken: one that others took and freed again since this
-- statement began is locked, but not seen by its UPDATE. $3: the claim floors. Locks the slots FOR UPDATE,
-- skipping what others hold.
WITH free AS MATERIALIZED (
    SELECT k.ordinal, k.slot_key, first.free_seq AS first, found.place
    FROM unnest($2, $3) WITH ORDINALITY AS k (slot_key, floor, ordinal)
    LEFT JOIN LATERAL (
        SELECT s.free_seq FROM baton.slot s
        WHERE s.slot_key = k.slot_key AND s.holder IS NULL AND s.free_seq > k.floor
        ORDER BY s.slot_key, s.free_seq LIMIT 1
    ) first ON true
    LEFT JOIN LATERAL (
        SELECT s.ctid AS place FROM baton.slot s
        WHERE s.slot_key = k.slot_key AND s.holder IS NULL AND s.free_seq >= first.free_seq
          AND EXISTS (SELECT FROM baton.slot_key o WHERE o.slot_key = k.slot_key AND o.slots <= o.capacity)
        ORDER BY s.slot_key, s.free_seq LIMIT 1
        FOR UPDATE OF s SKIP LOCKED
    ) found ON true
), taken AS (
    UPDATE baton.slot s SET holder = $1, free_seq = NULL
    FROM free f
    WHERE s.ctid = f.place AND (SELECT count(place) FROM free) = cardinality($2)
    RETURNING s.slot_key
)
SELECT f.first, (SELECT last_value FROM baton.ready_seq), f.place IS NOT NULL, t.slot_key IS NOT NULL
FROM free f LEFT JOIN taken t USING (slot_key) ORDER BY f.ordinal
