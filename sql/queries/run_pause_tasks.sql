-- Blocks what is in line in a paused run; returns the tasks. Their order stays: what was ready first, then the others. Locks them FOR UPDATE, skipping what others hold.
WITH picked AS MATERIALIZED (
    SELECT l.task_id FROM baton.task_live l
    WHERE l.step_id = ANY (ARRAY(SELECT s.step_id FROM baton.step s WHERE s.run_id = $1 AND s.state = 1))
      AND (l.state = 2 OR l.waits_for IS NOT NULL)
    FOR UPDATE SKIP LOCKED
)
UPDATE baton.task_live l SET state = 1, waits_for = NULL, ready_at = NULL,
    ready_seq = l.ready_seq - CASE WHEN l.state = 2 THEN 2 ELSE 0 END * 9007199254740992
FROM picked p WHERE l.task_id = p.task_id
RETURNING l.task_id, l.queue_id, l.slot_keys
