-- A waiting step starts, with $2 items, its counter in $3 rows; a bound that cannot be reached is none. Locks the step as UPDATE does; its run is
-- locked by this transaction.
UPDATE baton.step SET state = 1, started_at = baton._clock(), total = $2, shards = $3, open_shards = $3, max_parallel = CASE WHEN max_parallel < $2 THEN max_parallel END
WHERE step_id = $1
