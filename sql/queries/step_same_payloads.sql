-- Whether a step's items have these very payloads, in order. Takes no lock.
SELECT count(t.task_id) = cardinality($2)
    AND (SELECT total FROM baton.step WHERE step_id = $1) = cardinality($2)
    AND coalesce(bool_and(t.payload = u.payload), false)
FROM unnest($2) WITH ORDINALITY AS u (payload, ordinal)
LEFT JOIN baton.task t ON t.step_id = $1 AND t.item_index = u.ordinal - 1
