-- The next event of an open run's tape, from outside; no row if the run has ended, its tape is full, or the caller does not control it ($6). Locks the run as UPDATE
-- does (FOR NO KEY UPDATE).
WITH tape AS (
    UPDATE baton.run SET last_seq = last_seq + 1
    WHERE run_id = $1 AND state < 10 AND last_seq < $5 AND ($6 IS NULL OR NOT EXISTS (SELECT FROM baton.step s WHERE s.run_id = $1 AND s.queue_id <> ALL ($6)))
    RETURNING last_seq, state = 2 AS cancel_requested
), event AS (
    INSERT INTO baton.event (tape_id, seq, at, kind, dedup_key, body)
    SELECT $1, last_seq, baton._clock(), $2, $4, $3 FROM tape
    RETURNING seq, at
)
SELECT e.seq, e.at, t.cancel_requested FROM event e CROSS JOIN tape t
