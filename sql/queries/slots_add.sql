-- $2 more slots of a key, free. The key is locked by this transaction.
WITH slot AS (
    INSERT INTO baton.slot (slot_key, free_seq) SELECT $1, nextval('baton.ready_seq') FROM generate_series(1, $2)
)
UPDATE baton.slot_key SET slots = slots + $2 WHERE slot_key = $1
