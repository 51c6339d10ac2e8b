-- A new run; no row if the workflow has one with this key. Takes no lock beyond the new row's own (it waits for another transaction that is
-- starting the same one).
INSERT INTO baton.run (run_id, workflow_id, created_at, slot_key, state, on_error, version, name, key, input, metadata)
VALUES ($1, $2, baton._clock(), $3, 0, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING
RETURNING run_id
