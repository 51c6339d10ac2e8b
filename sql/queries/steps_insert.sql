-- The steps of a definition ($2 to $8, in an order in which each comes after those it needs), waiting. Takes no lock beyond the new
-- rows' own.
INSERT INTO baton.step (step_id, run_id, created_at, queue_id, total, max_parallel, open_shards, shards, state, with_items, survives_failure, defined, compensate_queue_id, name, needs)
SELECT nextval('baton.id_seq'), $1, baton._clock(), u.queue_id, 0, u.max_parallel, 0, 0, 0, u.with_items, u.survives, true, u.compensate_queue_id, u.name,
    ARRAY(SELECT n.value FROM jsonb_array_elements_text(u.needs) WITH ORDINALITY AS n (value, place) ORDER BY n.place)
FROM unnest($2, $3, $4, $5, $6, $7, $8) WITH ORDINALITY AS u (name, queue_id, max_parallel, with_items, needs, survives, compensate_queue_id, ordinal)
ORDER BY u.ordinal
RETURNING step_id
