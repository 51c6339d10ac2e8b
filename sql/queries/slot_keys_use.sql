-- Notes that tasks of queue $2 and of the priorities $3 (a bit each) use these keys: once each. Who frees a slot meanwhile does not know of the queue yet: so it is left there. Locks the keys FOR NO KEY UPDATE, in the
-- order of their ids, waiting for others that do the same.
WITH locked AS MATERIALIZED (
    SELECT slot_key, queue_ids FROM baton.slot_key WHERE slot_key = ANY ($1) ORDER BY slot_key FOR NO KEY UPDATE
), due AS (
    INSERT INTO baton.due (due_id, slot_key, freed, queue_id)
    SELECT nextval('baton.due_id_seq'), slot_key, freed, $2 FROM locked, (VALUES (false), (true)) AS side (freed) WHERE cardinality(queue_ids) > 0 AND $2 <> ALL (queue_ids)
)
UPDATE baton.slot_key k SET lanes = k.lanes | $3, queue_ids = CASE WHEN $2 = ANY (k.queue_ids) THEN k.queue_ids ELSE k.queue_ids || $2 END
FROM locked l WHERE k.slot_key = l.slot_key
