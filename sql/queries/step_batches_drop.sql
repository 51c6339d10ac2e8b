-- Forgets the items of these steps that are no tasks: (step, shards, from which index on, how many). Locks the batches FOR UPDATE in their order, waiting for
-- who makes tasks of one.
WITH locked AS MATERIALIZED (
    SELECT step_id, first_index FROM baton.step_batch WHERE step_id = ANY ($1) ORDER BY step_id, first_index FOR UPDATE
), gone AS (
    DELETE FROM baton.step_batch b USING locked l WHERE b.step_id = l.step_id AND b.first_index = l.first_index
    RETURNING b.step_id, b.first_index, cardinality(b.payloads) AS items
)
SELECT g.step_id, s.shards, g.first_index, g.items FROM gone g JOIN baton.step s USING (step_id)
