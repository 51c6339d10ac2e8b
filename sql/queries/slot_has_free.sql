-- Whether the key has a free slot. Takes no lock.
SELECT EXISTS (SELECT FROM baton.slot WHERE slot_key = $1 AND holder IS NULL)
