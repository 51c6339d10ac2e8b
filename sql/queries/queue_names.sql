-- All queues that the caller may touch ($1), in a fixed order. Takes no lock.
SELECT name FROM baton.queue WHERE dropped_at IS NULL AND ($1 IS NULL OR queue_id = ANY ($1)) ORDER BY queue_id
