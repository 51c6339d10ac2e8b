-- Changes the metadata of a task, locked by this transaction, to $2, and keeps what was merged ($3), when and by
-- whom ($4); no row if there are $5 such changes. Locks the task's row as UPDATE does (FOR NO KEY UPDATE).
WITH last AS MATERIALIZED (
    SELECT coalesce((SELECT seq FROM baton.annotation WHERE task_id = $1 ORDER BY task_id DESC, seq DESC LIMIT 1), 0) AS seq
), kept AS (
    INSERT INTO baton.annotation (task_id, seq, at, role, metadata)
    SELECT $1, seq + 1, baton._clock(), $4, $3 FROM last WHERE seq < $5
    RETURNING seq
)
UPDATE baton.task SET metadata = $2 WHERE task_id = $1 AND EXISTS (SELECT FROM kept)
RETURNING true
