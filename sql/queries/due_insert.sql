-- Leaves a key that may have a free slot for who is in line, in the queues whose tasks use it (and $3, the one of this task): who freed a slot ($2), or got in line, could not be sure that no one else does the other thing
-- just now. Where somebody has left the same, and nobody is taking that up, that is kept until this transaction has ended. Locks such rows FOR KEY SHARE, skipping what others hold.
WITH queues AS MATERIALIZED (
    SELECT q.queue_id FROM baton.slot_key k JOIN baton.queue q ON q.queue_id = ANY (k.queue_ids) WHERE k.slot_key = $1 AND q.dropped_at IS NULL
    UNION
    SELECT $3 WHERE $3 IS NOT NULL
), kept AS MATERIALIZED (
    SELECT d.queue_id FROM queues q JOIN baton.due d USING (queue_id) WHERE d.slot_key = $1 AND d.freed = $2
    FOR KEY SHARE OF d SKIP LOCKED
)
INSERT INTO baton.due (due_id, slot_key, freed, queue_id)
SELECT nextval('baton.due_id_seq'), $1, $2, q.queue_id FROM queues q WHERE q.queue_id NOT IN (SELECT queue_id FROM kept)
