-- The keys of these names, in the order in which they are asked for: NULL where there is none. Whether queue $2 and the priorities $3 (a bit each) are
-- known to each. Takes no lock.
SELECT k.slot_key, coalesce($2 = ANY (k.queue_ids) AND k.lanes & $3 = $3, true)
FROM unnest($1) WITH ORDINALITY AS u (name, ordinal)
LEFT JOIN baton.slot_key k USING (name)
ORDER BY u.ordinal
