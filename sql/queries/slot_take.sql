-- Takes a free slot of the key for a task; no row if there is none. Locks the slot FOR UPDATE, skipping
-- what others hold.
WITH free AS MATERIALIZED (
    SELECT number FROM baton.slot WHERE slot_key = $1 AND holder IS NULL
    ORDER BY slot_key, number LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE baton.slot s SET holder = $2 FROM free f WHERE s.slot_key = $1 AND s.number = f.number
RETURNING true
