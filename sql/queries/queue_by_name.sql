-- A queue that was not dropped. Takes no lock.
SELECT queue_id, lanes, max_attempts FROM baton.queue WHERE name = $1 AND dropped_at IS NULL
