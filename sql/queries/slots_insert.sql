-- The $2 slots of a new bounded step or run, the first of them held by the tasks $3; its tasks have the priorities $4 (a bit each) and stand in the
-- queues $5. Takes no lock beyond the new rows' own.
WITH key AS (
    INSERT INTO baton.slot_key (slot_key, capacity, slots, lanes, queue_ids) VALUES ($1, $2, $2, $4, $5)
)
INSERT INTO baton.slot (slot_key, holder, free_seq)
SELECT $1, h.holder, CASE WHEN h.holder IS NULL THEN nextval('baton.ready_seq') END
FROM generate_series(1, $2) AS n CROSS JOIN LATERAL (SELECT ($3::bigint[])[n] AS holder) h
