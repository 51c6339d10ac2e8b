-- $2 shards of a step have no item left. Returns whether that was all of them, and what its end is decided by. Takes the row lock
-- of the step (NO KEY UPDATE), waiting for whoever ends another shard.
UPDATE baton.step SET open_shards = open_shards - $2 WHERE step_id = $1
RETURNING open_shards = 0, with_items AND total > 1
