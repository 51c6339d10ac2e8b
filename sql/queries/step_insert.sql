-- A new step; no row if its name in the run or its key is taken. Takes no lock beyond the new row's own
-- (it waits for another transaction that is creating the same one).
INSERT INTO baton.step (step_id, run_id, created_at, queue_id, total, max_parallel, open_shards, shards, name, key, successor, successor_queue_id, successor_payload)
VALUES ($1, $2, baton._clock(), $3, $4, $5, $6, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING
RETURNING step_id
