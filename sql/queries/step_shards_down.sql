-- $2 shards of a step have no item left. Returns whether that was all of them, and whether the results are joined and may be too much ($3: from how
-- many items on). Takes the row lock of the step (NO KEY UPDATE), waiting for whoever ends another shard.
UPDATE baton.step SET open_shards = open_shards - $2 WHERE step_id = $1
RETURNING open_shards = 0, with_items AND total > $3 AND EXISTS (SELECT FROM baton.run r WHERE r.run_id = step.run_id AND r.workflow_id IS NOT NULL)
