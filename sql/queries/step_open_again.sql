-- A shard of a step has an item again; if the step had ended, and nobody has looked at what follows, it runs again. Locks the step as UPDATE does.
UPDATE baton.step SET open_shards = open_shards + 1, state = 1, finalized_at = NULL, error = NULL WHERE step_id = $1
