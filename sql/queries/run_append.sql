-- The next events of a run's tape: $2 their kinds, $3 their bodies. Locks the run as UPDATE does (FOR NO KEY UPDATE), so seq is dense and in commit order.
WITH tape AS (
    UPDATE baton.run SET last_seq = last_seq + cardinality($2) WHERE run_id = $1
    RETURNING last_seq - cardinality($2) AS seq
)
INSERT INTO baton.event (tape_id, seq, at, kind, body)
SELECT $1, t.seq + u.ordinal, baton._clock(), u.kind, u.body FROM tape t, unnest($2, $3) WITH ORDINALITY AS u (kind, body, ordinal)
