-- A new task, in line or scheduled; no row if the queue is not the one that is held ($9), or the key is taken. With slot keys ($10) it has the id $11, and the state $12 that taking
-- their slots has come to (NULL: as its time says); $13: in whose line it stands. Takes no lock beyond the new rows' own (it waits for another transaction that is creating the same
-- key).
WITH q AS MATERIALIZED (
    SELECT queue_id, lanes, max_attempts FROM baton.queue WHERE queue_id = $9 AND name = $1 AND dropped_at IS NULL
), new AS (
    INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, slot_keys, name, key, payload, metadata)
    SELECT coalesce($11, nextval('baton.id_seq')), baton._clock(), q.queue_id, coalesce($7, q.max_attempts), $5, $10, $3, $4, $2, $8 FROM q
    ON CONFLICT (queue_id, key) WHERE key IS NOT NULL DO NOTHING
    RETURNING task_id, created_at, queue_id
)
INSERT INTO baton.task_live (task_id, slot_keys, waits_for, ready_seq, ready_at, run_at, last_seq, queue_id, attempt, lost_leases, state, priority)
SELECT n.task_id, $10, $13, nextval('baton.ready_seq'), CASE WHEN s.state = 2 THEN n.created_at END, $6, 0, n.queue_id, 0, 0, s.state, $5
FROM new n CROSS JOIN LATERAL (SELECT coalesce($12, CASE WHEN $6 > n.created_at THEN 0::smallint ELSE 2::smallint END) AS state) s
RETURNING (SELECT lanes FROM q), task_id, state
