-- The events that already bear one of these keys. Takes no lock.
SELECT seq, at FROM baton.event WHERE tape_id = $1 AND dedup_key = ANY ($2)
  AND ($3 IS NULL OR EXISTS (SELECT FROM baton.task t WHERE t.task_id = $1 AND t.queue_id = ANY ($3)))
ORDER BY seq
