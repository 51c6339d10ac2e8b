-- The keys that others left in a queue, and how, up to $2 rows: those below key $3 first, and of steps before those of runs. Takes no lock.
SELECT slot_key, freed, array_agg(due_id) FROM (
    SELECT slot_key, freed, due_id FROM baton.due WHERE queue_id = $1 AND slot_key IS NOT NULL ORDER BY slot_key >= $3, slot_key DESC LIMIT $2) d
GROUP BY slot_key, freed
ORDER BY slot_key >= $3, slot_key DESC
