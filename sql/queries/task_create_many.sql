-- New tasks: a row (ordinal, id) for each that was asked for, and a row (NULL, id) for each that was created.
-- In the order of their keys, so that two callers with the same keys wait for each other in one direction
-- only. With slot keys ($10) they get in line for the first of them. Takes no lock beyond the new rows' own.
WITH asked AS MATERIALIZED (
    SELECT u.ordinal, u.payload, ($9::text[])[u.ordinal] AS key, nextval('baton.id_seq') AS task_id
    FROM unnest($2) WITH ORDINALITY AS u (payload, ordinal)
), new AS (
    INSERT INTO baton.task (task_id, created_at, queue_id, max_attempts, priority, slot_keys, name, key, payload, metadata)
    SELECT task_id, baton._clock(), $1, $6, $4, $10, $3, key, payload, $8 FROM asked ORDER BY key, ordinal
    ON CONFLICT (queue_id, key) WHERE key IS NOT NULL DO NOTHING
    RETURNING task_id, created_at
), live AS (
    INSERT INTO baton.task_live (task_id, slot_keys, waits_for, ready_seq, ready_at, run_at, last_seq, queue_id, attempt, lost_leases, state, priority)
    SELECT s.task_id, $10, CASE WHEN $5 > s.created_at THEN NULL ELSE ($10::bigint[])[1] END, nextval('baton.ready_seq'), CASE WHEN $5 > s.created_at OR $10 IS NOT NULL THEN NULL ELSE s.created_at END, $5, 0, $1, 0, 0,
           CASE WHEN $5 > s.created_at THEN 0 ELSE $7 END, $4
    FROM (SELECT task_id, created_at FROM new ORDER BY task_id) s
    RETURNING task_id
)
SELECT ordinal, task_id FROM asked
UNION ALL
SELECT NULL, task_id FROM live
