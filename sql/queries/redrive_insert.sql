-- Redrives these tasks, once: (the old one, the new one), in line in this order. A task without a key, with clean counts. Takes no
-- lock beyond the new rows' own (it waits for another transaction that redrives the same one).
WITH fresh AS (
    INSERT INTO baton.redrive (task_id, new_task_id)
    SELECT task_id, nextval('baton.id_seq') FROM unnest($1) AS u (task_id)
    ON CONFLICT (task_id) DO NOTHING
    RETURNING task_id, new_task_id
), new AS (
    INSERT INTO baton.task (task_id, redrive_of, created_at, queue_id, max_attempts, priority, name, payload, metadata)
    SELECT f.new_task_id, t.task_id, baton._clock(), t.queue_id, t.max_attempts, t.priority, t.name, t.payload, t.metadata
    FROM fresh f JOIN baton.task t USING (task_id)
    RETURNING task_id, redrive_of, queue_id, priority, created_at
), live AS (
    INSERT INTO baton.task_live (task_id, on_final_of, ready_seq, ready_at, last_seq, queue_id, attempt, lost_leases, state, priority)
    SELECT n.task_id, (SELECT d.on_final_of FROM baton.task_done d WHERE d.task_id = n.redrive_of), nextval('baton.ready_seq'), n.created_at, 0, n.queue_id, 0, 0, 2, n.priority
    FROM (SELECT * FROM new ORDER BY task_id) n
)
SELECT redrive_of, task_id FROM new
