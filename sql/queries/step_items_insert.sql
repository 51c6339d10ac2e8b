-- Items of a step, from the index $10 on, in order: the first $7 are ready, the others blocked, in line for key $14 (NULL: until
-- the run is resumed). Takes no lock beyond the new rows' own.
WITH item AS MATERIALIZED (
    SELECT nextval('baton.id_seq') AS task_id, nextval('baton.ready_seq') AS place, u.ordinal <= $7 AS ready, ($10 + u.ordinal - 1)::int AS item_index, u.payload
    FROM unnest($6) WITH ORDINALITY AS u (payload, ordinal)
), new AS (
    INSERT INTO baton.task (task_id, run_id, step_id, created_at, queue_id, max_attempts, item_index, priority, slot_keys, name, payload, metadata)
    SELECT task_id, $1, $2, baton._clock(), $3, $5, item_index, $11, $8, $4, payload, '{}' FROM item
), live AS (
    INSERT INTO baton.task_live (task_id, step_id, slot_keys, compensable, waits_for, max_runtime, ready_seq, ready_at, last_seq, queue_id, attempt, lost_leases, state, priority, shard)
    SELECT task_id, $2, $8, $13, CASE WHEN NOT ready THEN $14 END, $12, place, CASE WHEN ready THEN baton._clock() END,
        0, $3, 0, 0, CASE WHEN ready THEN 2 ELSE 1 END, $11, item_index % $9
    FROM item
)
SELECT item_index, task_id, ready FROM item
