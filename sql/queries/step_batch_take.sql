-- The next batch of items of a step. Locks the batch FOR UPDATE, skipping what others hold, and removes it.
WITH picked AS MATERIALIZED (
    SELECT step_id, first_index FROM baton.step_batch
    WHERE step_id = $1
    ORDER BY step_id, first_index LIMIT 1
    FOR UPDATE SKIP LOCKED
)
DELETE FROM baton.step_batch b USING picked p
WHERE b.step_id = p.step_id AND b.first_index = p.first_index
RETURNING b.first_index, b.payloads
