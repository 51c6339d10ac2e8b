-- The run of a workflow ($1, NULL: without a name) with this key, and whether it was started with this input. Takes no lock.
SELECT run_id, input = $3 FROM baton.run WHERE coalesce(name, '') = coalesce($1, '') AND key = $2 AND workflow_id IS NOT NULL
