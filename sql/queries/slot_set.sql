-- A key of this name, with capacity $2, and as many slots if it is new. Locks the key FOR NO KEY UPDATE, waiting for who sets it, too, or uses it for the first time. Returns the key, and how many slots it
-- lacks (or has too many).
INSERT INTO baton.slot_key AS k (slot_key, capacity, slots, lanes, queue_ids, name) VALUES (nextval('baton.id_seq'), $2, 0, 0, '{}', $1)
ON CONFLICT (name) DO UPDATE SET capacity = excluded.capacity
RETURNING slot_key, capacity - slots
