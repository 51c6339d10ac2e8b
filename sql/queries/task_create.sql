-- A new task, in line or scheduled; no row if the queue is not the one that is held ($9), or the key is taken.
-- Takes no lock beyond the new rows' own (it waits for another transaction that is creating the same
-- key).
WITH q AS MATERIALIZED (
    SELECT queue_id, lanes, max_attempts FROM baton.queue WHERE queue_id = $9 AND name = $1 AND dropped_at IS NULL
), new AS (
    INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, name, key, payload, metadata)
    SELECT nextval('baton.id_seq'), baton._clock(), q.queue_id, coalesce($7, q.max_attempts), $5, $3, $4, $2, $8 FROM q
    ON CONFLICT (queue_id, key) WHERE key IS NOT NULL DO NOTHING
    RETURNING task_id, created_at, queue_id
)
INSERT INTO baton.task_live (task_id, ready_seq, ready_at, run_at, last_seq, queue_id, attempt, lost_leases, state, priority)
SELECT task_id, nextval('baton.ready_seq'), CASE WHEN $6 > created_at THEN NULL ELSE created_at END, $6, 0, queue_id, 0, 0,
       CASE WHEN $6 > created_at THEN 0 ELSE 2 END, $5
FROM new
RETURNING (SELECT lanes FROM q), task_id, state
