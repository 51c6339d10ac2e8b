-- The tasks that tell of the ends of tasks $1, in queues $2, under the ids drawn for them; none in a queue that was
-- dropped. Their key is the ended task's id; if somebody has taken it, they have none. Takes no lock beyond the new rows'
-- own (it waits for another transaction that is creating the same key).
WITH ended AS MATERIALIZED (
    SELECT d.on_final_task_id, d.task_id, d.state, d.reason, t.key, t.name, t.run_id, t.item_index, s.name AS queue,
        q.queue_id, q.max_attempts
    FROM unnest($1, $2) AS u (task_id, queue_id)
    JOIN baton.task_done d USING (task_id)
    JOIN baton.task t USING (task_id)
    JOIN baton.queue s ON s.queue_id = d.queue_id
    JOIN baton.queue q ON q.queue_id = u.queue_id AND q.dropped_at IS NULL
), told AS MATERIALIZED (
    SELECT e.*, jsonb_build_object('task_id', task_id, 'queue', queue, 'key', key, 'name', name, 'state', baton._state_name(state),
        'reason', reason, 'run_id', run_id, 'item_index', item_index) AS payload
    FROM ended e ORDER BY task_id
), keyed AS (
    INSERT INTO baton.task (task_id, on_final_of, created_at, queue_id, max_attempts, priority, name, key, payload, metadata)
    SELECT on_final_task_id, task_id, baton._clock(), queue_id, max_attempts, 0, 'on_final', task_id::text, payload, '{}' FROM told
    ON CONFLICT (queue_id, key) WHERE key IS NOT NULL DO NOTHING
    RETURNING task_id
), bare AS (
    INSERT INTO baton.task (task_id, on_final_of, created_at, queue_id, max_attempts, priority, name, payload, metadata)
    SELECT on_final_task_id, task_id, baton._clock(), queue_id, max_attempts, 0, 'on_final', payload, '{}' FROM told
    WHERE on_final_task_id NOT IN (SELECT task_id FROM keyed)
)
INSERT INTO baton.task_live (task_id, ready_seq, ready_at, last_seq, queue_id, attempt, lost_leases, state, priority)
SELECT on_final_task_id, nextval('baton.ready_seq'), baton._clock(), 0, queue_id, 0, 0, 2, 0 FROM told
RETURNING task_id
