-- Merges metadata into a run's own, top-level keys, if the caller controls it ($3); returns its size then (less its length word, as everywhere). Locks the run as UPDATE does (FOR NO KEY UPDATE).
UPDATE baton.run SET metadata = metadata || $2
WHERE run_id = $1 AND ($3 IS NULL OR NOT EXISTS (SELECT FROM baton.step s WHERE s.run_id = $1 AND s.queue_id <> ALL ($3)))
RETURNING pg_column_size(metadata) - 4
