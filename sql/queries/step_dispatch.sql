-- A waiting step starts, with $2 items, its counter in $3 rows. Locks the step as UPDATE does; its run is locked by this transaction.
UPDATE baton.step SET state = 1, started_at = baton._clock(), total = $2, shards = $3, open_shards = $3
WHERE step_id = $1
