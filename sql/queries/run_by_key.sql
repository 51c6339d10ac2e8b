-- The run of a workflow ($1, NULL: without a name) with this key, whether it was started with this input, and whether the caller may touch all its steps'
-- queues ($4). Takes no lock.
SELECT r.run_id, r.input = $3, $4 IS NULL OR NOT EXISTS (SELECT FROM baton.step s WHERE s.run_id = r.run_id AND s.queue_id <> ALL ($4))
FROM baton.run r WHERE coalesce(r.name, '') = coalesce($1, '') AND r.key = $2 AND r.workflow_id IS NOT NULL
