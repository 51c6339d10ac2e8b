-- Keeps others from freeing a slot of the key until the end. Locks the key FOR SHARE, waiting for who frees one.
SELECT true FROM baton.slot_key WHERE slot_key = $1 FOR SHARE
