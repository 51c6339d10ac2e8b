-- Who adds slots to a key, or takes some away, locks the key FOR NO KEY UPDATE; here with SKIP LOCKED. How many are too many.
SELECT slots - capacity FROM baton.slot_key WHERE slot_key = $1 FOR NO KEY UPDATE SKIP LOCKED
