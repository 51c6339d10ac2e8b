-- The events that already bear one of these keys. Takes no lock.
SELECT seq, at FROM baton.event WHERE tape_id = $1 AND dedup_key = ANY ($2) ORDER BY seq
