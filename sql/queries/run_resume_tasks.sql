-- What was blocked because the run was paused gets in line again, in its old order: for a slot, or for a lease. Locks the tasks FOR UPDATE, waiting, in the
-- order of their ids.
WITH picked AS MATERIALIZED (
    SELECT l.task_id, l.ready_seq FROM baton.task_live l
    WHERE l.step_id = ANY (ARRAY(SELECT s.step_id FROM baton.step s WHERE s.run_id = $1 AND s.state = 1)) AND l.state = 1 AND l.waits_for IS NULL
    ORDER BY l.task_id
    FOR UPDATE
), placed AS MATERIALIZED (
    SELECT p.task_id, nextval('baton.ready_seq') AS place FROM (SELECT * FROM picked ORDER BY ready_seq) p
)
UPDATE baton.task_live l SET state = CASE WHEN l.slot_keys IS NULL THEN 2 ELSE 1 END, waits_for = l.slot_keys[1], ready_seq = p.place,
    ready_at = CASE WHEN l.slot_keys IS NULL THEN baton._clock() END
FROM placed p WHERE l.task_id = p.task_id
