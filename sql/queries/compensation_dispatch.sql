-- The task that runs a compensation ($1; with payload $2, if the ledger has none), for the task or run $3. Locks the row of the ledger as UPDATE does; its owner is locked by this transaction. Returns the new task.
WITH next AS MATERIALIZED (
    SELECT c.*, nextval('baton.id_seq') AS new_task_id, q.max_attempts FROM baton.compensation c JOIN baton.queue q USING (queue_id) WHERE c.compensation_id = $1
), new AS (
    INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, name, payload, metadata)
    SELECT new_task_id, baton._clock(), queue_id, max_attempts, 0, name, coalesce(payload, $2),
        jsonb_build_object('compensates', task_id, 'compensation_no', compensation_no) || CASE WHEN run_id IS NULL THEN '{}' ELSE jsonb_build_object('run_id', run_id) END
    FROM next
), live AS (
    INSERT INTO baton.task_live (task_id, compensates, ready_seq, ready_at, last_seq, queue_id, attempt, lost_leases, state, priority)
    SELECT new_task_id, $3, nextval('baton.ready_seq'), baton._clock(), 0, queue_id, 0, 0, 2, 0 FROM next
)
UPDATE baton.compensation c SET compensation_task_id = n.new_task_id FROM next n WHERE c.compensation_id = n.compensation_id
RETURNING c.compensation_task_id
