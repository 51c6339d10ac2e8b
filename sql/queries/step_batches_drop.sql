-- Forgets the items of these steps that are no tasks: (step, shards, from which index on). Locks the batches and steps as DELETE and UPDATE do.
WITH gone AS (
    DELETE FROM baton.step_batch b WHERE b.step_id = ANY ($1) RETURNING b.step_id, b.first_index, cardinality(b.payloads) AS items
)
SELECT g.step_id, s.shards, g.first_index, g.items FROM gone g JOIN baton.step s USING (step_id)
