-- A new run. Takes no lock beyond the new row's own.
INSERT INTO baton.run (run_id, created_at, state, key, metadata) VALUES ($1, baton._clock(), 0, $2, '{}')
