-- The join counter of a new step of $2 items, in $3 rows. Takes no lock beyond the new rows' own.
INSERT INTO baton.step_count (step_id, shard, remaining)
SELECT $1, s, ($2 - s + $3 - 1) / $3 FROM generate_series(0, $3 - 1) AS s
