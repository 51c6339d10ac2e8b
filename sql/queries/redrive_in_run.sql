-- Redrives a task of a paused run, once, unless what follows from its step is done: the new one stands in its place, with clean counts, blocked until the run is resumed; the old one
-- stays as it is, without the place. Locks the old task's row as UPDATE does (it waits for another transaction that redrives the same one).
WITH fresh AS (
    INSERT INTO baton.redrive (task_id, new_task_id)
    SELECT t.task_id, nextval('baton.id_seq') FROM baton.task t JOIN baton.step s USING (step_id) WHERE t.task_id = $1 AND NOT s.noted
    ON CONFLICT (task_id) DO NOTHING
    RETURNING task_id, new_task_id
), old AS (
    UPDATE baton.task t SET step_id = NULL
    FROM fresh f, baton.task o WHERE t.task_id = f.task_id AND o.task_id = f.task_id
    RETURNING f.new_task_id, o.*
), done AS (
    SELECT o.*, d.state, d.shard, d.max_runtime, (SELECT g.state FROM baton.saga g WHERE g.task_id = d.task_id) AS first_state, (SELECT true FROM baton.step s WHERE s.step_id = o.step_id AND s.compensate_queue_id IS NOT NULL) AS compensable
    FROM old o JOIN baton.task_done d USING (task_id)
), new AS (
    INSERT INTO baton.task (task_id, run_id, step_id, redrive_of, created_at, queue_id, max_attempts, item_index, priority, slot_keys, name, payload, metadata)
    SELECT new_task_id, run_id, step_id, task_id, baton._clock(), queue_id, max_attempts, item_index, priority, slot_keys, name, payload, metadata FROM done
), live AS (
    INSERT INTO baton.task_live (task_id, step_id, slot_keys, compensable, max_runtime, ready_seq, last_seq, queue_id, attempt, lost_leases, state, priority, shard)
    SELECT new_task_id, step_id, slot_keys, compensable, max_runtime, nextval('baton.ready_seq'), 0, queue_id, 0, 0, 1, priority, shard FROM done
)
SELECT new_task_id, step_id, shard, state, first_state FROM done
