-- Items of a step from the index $2 on, kept to be made tasks later: $3, $4 of them a batch, for an acquire of queue $5 (NULL: for who frees
-- a slot). Takes no lock beyond the new rows' own.
INSERT INTO baton.step_batch (step_id, first_index, queue_id, payloads)
SELECT $1, $2 + b, $5, ($3::jsonb[])[b + 1 : b + $4] FROM generate_series(0, cardinality($3) - 1, $4) AS b
