-- The successor's task, in line, or ($8) blocked until its run is resumed. $2 its run, $3 its step (of one item), if any. Takes no lock beyond the
-- new rows' own.
WITH new AS (
    INSERT INTO baton.task (task_id, run_id, step_id, created_at, queue_id, max_attempts, item_index, priority, name, payload, metadata)
    SELECT $1, $2, $3, baton._clock(), q.queue_id, coalesce($7, q.max_attempts), CASE WHEN $3::bigint IS NOT NULL THEN 0 END, 0, $5, $6, '{}'
    FROM baton.queue q WHERE q.queue_id = $4
    RETURNING task_id, created_at
)
INSERT INTO baton.task_live (task_id, step_id, ready_seq, ready_at, last_seq, queue_id, attempt, lost_leases, state, priority, shard)
SELECT task_id, $3, nextval('baton.ready_seq'), CASE WHEN NOT $8 THEN created_at END, 0, $4, 0, 0, CASE WHEN $8 THEN 1 ELSE 2 END, 0, CASE WHEN $2::bigint IS NOT NULL THEN 0 END FROM new
