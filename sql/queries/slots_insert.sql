-- The $2 slots of a new bounded step or run, the first of them held by the tasks $3. Takes no lock beyond the
-- new rows' own.
WITH key AS (
    INSERT INTO baton.slot_key (slot_key, capacity) VALUES ($1, $2)
)
INSERT INTO baton.slot (slot_key, number, holder)
SELECT $1, n, ($3::bigint[])[n] FROM generate_series(1, $2) AS n
