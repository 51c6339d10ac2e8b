-- Whether a queue is paused. Takes no lock.
SELECT paused_at IS NOT NULL FROM baton.queue WHERE queue_id = $1
