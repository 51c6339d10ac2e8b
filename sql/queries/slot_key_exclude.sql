-- Waits for whoever is getting in line for the key, and keeps others from it until the end. Locks the key
-- FOR NO KEY UPDATE.
SELECT true FROM baton.slot_key WHERE slot_key = $1 FOR NO KEY UPDATE
