-- The event of a run's tape that bears this key. Takes no lock.
SELECT seq, at FROM baton.event WHERE tape_id = $1 AND dedup_key = $2
