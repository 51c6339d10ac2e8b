-- A new step of a run, its items in line; no row if its name in the run, its key or its successor's name is taken. Takes no lock beyond the new row's own
-- (it waits for another transaction that is creating the same one).
INSERT INTO baton.step (step_id, run_id, created_at, started_at, queue_id, total, max_parallel, open_shards, shards, state, with_items, name, key, successor, successor_queue_id, successor_payload)
SELECT $1, $2, n.now, n.now, $3, $4, $5, $6, $6, 1, $12, $7, $8, $9, $10, $11 FROM (SELECT baton._clock() AS now) n
ON CONFLICT DO NOTHING
RETURNING step_id
