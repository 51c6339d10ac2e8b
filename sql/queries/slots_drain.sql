-- Takes up to $2 free slots away from key $1, which is locked by this transaction. Locks the slots FOR UPDATE, skipping what others hold. Returns
-- how many went.
WITH free AS MATERIALIZED (
    SELECT s.ctid AS place FROM baton.slot s
    WHERE s.slot_key = $1 AND s.holder IS NULL
    ORDER BY s.slot_key, s.free_seq LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM baton.slot s WHERE s.ctid = ANY (ARRAY(SELECT place FROM free))
    RETURNING s.slot_key
)
UPDATE baton.slot_key k SET slots = k.slots - c.slots FROM (SELECT count(*)::int AS slots FROM gone) c WHERE k.slot_key = $1
RETURNING c.slots
