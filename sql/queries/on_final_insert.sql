-- The tasks that tell of the ends of tasks $1, in queues $2, with max_attempts $3, under the ids drawn for them. Their key is
-- the ended task's id; if somebody has taken it, they have none. (In the order of their keys, as create_many inserts
-- them.) Takes no lock beyond the new rows' own (it waits for another transaction that is creating the same key).
WITH ended AS MATERIALIZED (
    SELECT d.on_final_task_id, d.task_id, u.queue_id, u.max_attempts,
        jsonb_build_object('task_id', d.task_id, 'queue', q.name, 'key', t.key, 'name', t.name, 'state', baton._state_name(d.state),
            'reason', d.reason, 'run_id', t.run_id, 'item_index', t.item_index) AS payload
    FROM unnest($1, $2, $3) AS u (task_id, queue_id, max_attempts)
    JOIN baton.task_done d USING (task_id)
    JOIN baton.task t USING (task_id)
    JOIN baton.queue q ON q.queue_id = d.queue_id
), told AS MATERIALIZED (
    SELECT * FROM ended ORDER BY task_id::text
), keyed AS (
    INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, name, key, payload, metadata)
    SELECT on_final_task_id, baton._clock(), queue_id, max_attempts, 0, 'on_final', task_id::text, payload, '{}' FROM told
    ON CONFLICT (queue_id, key) WHERE key IS NOT NULL DO NOTHING
    RETURNING task_id
), bare AS (
    INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, name, payload, metadata)
    SELECT on_final_task_id, baton._clock(), queue_id, max_attempts, 0, 'on_final', payload, '{}' FROM told
    WHERE on_final_task_id NOT IN (SELECT task_id FROM keyed)
)
INSERT INTO baton.task_live (task_id, on_final_of, ready_seq, ready_at, last_seq, queue_id, attempt, lost_leases, state, priority)
SELECT on_final_task_id, task_id, nextval('baton.ready_seq'), baton._clock(), 0, queue_id, 0, 0, 2, 0 FROM told
RETURNING task_id
