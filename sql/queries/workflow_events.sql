-- A run's own tape in order, if the caller may look at one of its steps' queues ($4). Takes no lock.
SELECT seq, kind, body, at FROM baton.event
WHERE tape_id = $1 AND seq > $2
  AND EXISTS (SELECT FROM baton.run r WHERE r.run_id = $1)
  AND ($4 IS NULL OR EXISTS (SELECT FROM baton.step s WHERE s.run_id = $1 AND s.queue_id = ANY ($4)))
ORDER BY tape_id, seq LIMIT $3
