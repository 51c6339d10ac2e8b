-- $2 shards of a step have no item left. Returns the successor if that was all of them. Takes the row lock
-- of the step (NO KEY UPDATE), waiting for whoever ends another shard.
UPDATE baton.step SET open_shards = open_shards - $2 WHERE step_id = $1
RETURNING open_shards = 0 AND successor IS NOT NULL
