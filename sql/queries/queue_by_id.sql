-- A queue, and what a new task takes from it. Takes no lock.
SELECT queue_id, lanes, max_attempts FROM baton.queue WHERE queue_id = $1
