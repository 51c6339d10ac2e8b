-- Takes up what others left in a queue, bounded. Locks the rows FOR UPDATE, skipping what others hold.
WITH picked AS MATERIALIZED (
    SELECT due_id FROM baton.due WHERE queue_id = $1 ORDER BY queue_id, due_id LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM baton.due d USING picked p WHERE d.due_id = p.due_id
RETURNING d.step_id, d.slot_key, d.failed_task_id
