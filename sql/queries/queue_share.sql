-- Raises 40001 if the queue has changed since the caller's fixed snapshot; else keeps it from changing. Locks the
-- queue's row FOR SHARE (KEY SHARE would let a drop's update pass).
SELECT true FROM baton.queue WHERE queue_id = $1 FOR SHARE
