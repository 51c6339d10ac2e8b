-- Keeps others from freeing a slot of the key until the end; no row if somebody is freeing one. Locks the
-- key FOR SHARE SKIP LOCKED.
SELECT true FROM baton.slot_key WHERE slot_key = $1 FOR SHARE SKIP LOCKED
