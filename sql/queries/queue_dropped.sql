-- The name of a queue if it was dropped. Takes no lock.
SELECT name FROM baton.queue WHERE queue_id = $1 AND dropped_at IS NOT NULL
