-- All queues, in a fixed order. Takes no lock.
SELECT name FROM baton.queue ORDER BY queue_id
