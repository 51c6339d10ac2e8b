-- Takes up what others left at steps, and at tasks that are compensating, of a queue, bounded. Locks the rows FOR UPDATE, skipping what others hold.
WITH picked AS MATERIALIZED (
    SELECT due_id FROM baton.due WHERE queue_id = $1 AND slot_key IS NULL ORDER BY queue_id, due_id LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM baton.due d USING picked p WHERE d.due_id = p.due_id
RETURNING d.step_id, d.failed_task_id, d.owner_id
