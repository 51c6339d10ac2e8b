-- Redrives these tasks, once: (the old one, the new one), in line in this order (for its first slot key, which comes with it, and its queue). A task without a key, with clean counts. Takes no
-- lock beyond the new rows' own (it waits for another transaction that redrives the same one).
WITH fresh AS (
    INSERT INTO baton.redrive (task_id, new_task_id)
    SELECT task_id, nextval('baton.id_seq') FROM unnest($1) AS u (task_id)
    ON CONFLICT (task_id) DO NOTHING
    RETURNING task_id, new_task_id
), new AS (
    INSERT INTO baton.task (task_id, redrive_of, created_at, queue_id, max_attempts, priority, slot_keys, name, payload, metadata)
    SELECT f.new_task_id, t.task_id, baton._clock(), t.queue_id, t.max_attempts, t.priority, t.slot_keys, t.name, t.payload, t.metadata
    FROM fresh f JOIN baton.task t USING (task_id)
    RETURNING task_id, redrive_of, queue_id, priority, slot_keys, created_at
), live AS (
    INSERT INTO baton.task_live (task_id, on_final_of, slot_keys, waits_for, ready_seq, ready_at, last_seq, queue_id, attempt, lost_leases, state, priority)
    SELECT n.task_id, (SELECT d.on_final_of FROM baton.task_done d WHERE d.task_id = n.redrive_of), n.slot_keys, n.slot_keys[1], nextval('baton.ready_seq'),
        CASE WHEN n.slot_keys IS NULL THEN n.created_at END, 0, n.queue_id, 0, 0, CASE WHEN n.slot_keys IS NULL THEN 2 ELSE 1 END, n.priority
    FROM (SELECT * FROM new ORDER BY task_id) n
)
SELECT redrive_of, task_id, slot_keys[1], queue_id FROM new
