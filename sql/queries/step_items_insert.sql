-- The items of a new step, in order: ready, or blocked beyond $8 until a slot is handed to them. Takes no
-- lock beyond the new rows' own.
WITH item AS MATERIALIZED (
    SELECT nextval('baton.id_seq') AS task_id, nextval('baton.ready_seq') AS place, (u.ordinal - 1)::int AS item_index, u.payload
    FROM unnest($6) WITH ORDINALITY AS u (payload, ordinal)
), new AS (
    INSERT INTO baton.task (task_id, run_id, step_id, created_at, queue_id, max_attempts, item_index, priority, name, payload, metadata)
    SELECT task_id, $1, $2, baton._clock(), $3, $5, item_index, 0, $4, payload, '{}' FROM item
), live AS (
    INSERT INTO baton.task_live (task_id, step_id, slot_key, ready_seq, ready_at, last_seq, queue_id, attempt, lost_leases, state, priority, shard)
    SELECT task_id, $2, CASE WHEN $8::int IS NOT NULL THEN $2 END, place, CASE WHEN item_index < coalesce($8, $7) THEN baton._clock() END,
        0, $3, 0, 0, CASE WHEN item_index < coalesce($8, $7) THEN 2 ELSE 1 END, 0, item_index % $9
    FROM item
)
SELECT item_index, task_id, item_index < coalesce($8, $7) FROM item
