-- The next events of a live task's tape, all or none. Locks as append_event (FOR NO KEY UPDATE).
WITH tape AS (
    UPDATE baton.task_live SET last_seq = last_seq + cardinality($3)
    WHERE task_id = $1 AND ($2 IS NULL OR lease_token = $2) AND last_seq + cardinality($3) <= $6 AND ($7 IS NULL OR queue_id = ANY ($7))
    RETURNING last_seq - cardinality($3) AS base
), event AS (
    INSERT INTO baton.event (tape_id, seq, at, lease_token, kind, dedup_key, body)
    SELECT $1, t.base + u.ordinal, baton._clock(), $2, u.kind, u.dedup_key, u.body
    FROM tape t CROSS JOIN unnest($3, $4, $5) WITH ORDINALITY AS u (kind, body, dedup_key, ordinal)
    ORDER BY u.ordinal
    RETURNING seq
)
SELECT min(seq), max(seq) FROM event HAVING count(*) > 0
