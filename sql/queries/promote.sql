-- Makes up to $3 scheduled tasks ready whose time has come, oldest first; returns those that need a slot
-- first, or stand in a run, locked. Locks the tasks FOR UPDATE, skipping what others hold.
WITH picked AS MATERIALIZED (
    SELECT task_id, step_id, slot_keys, shard IS NULL AND slot_keys IS NULL AS alone FROM baton.task_live
    WHERE queue_id = $1 AND state = 0 AND run_at > $2 AND run_at <= (SELECT baton._clock())
    ORDER BY queue_id, run_at LIMIT $3
    FOR UPDATE SKIP LOCKED
), placed AS MATERIALIZED (
    SELECT task_id, nextval('baton.ready_seq') AS place FROM picked WHERE alone
), ready AS (
    UPDATE baton.task_live l SET state = 2, ready_seq = p.place, ready_at = baton._clock()
    FROM placed p WHERE l.task_id = p.task_id
)
SELECT task_id, step_id, slot_keys FROM picked WHERE NOT alone
