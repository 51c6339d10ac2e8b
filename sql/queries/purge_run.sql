-- Removes a run ($1), locked FOR UPDATE by this transaction, whose tasks $2 have all ended, with all that belongs to it.
-- Returns how many events their tapes had. Locks their rows as DELETE does.
WITH old AS MATERIALIZED (
    SELECT d.task_id, d.last_seq FROM unnest($2) AS u (task_id) JOIN baton.task_done d USING (task_id)
), done AS (
    DELETE FROM baton.task_done d USING old o WHERE d.task_id = o.task_id
), task AS (
    DELETE FROM baton.task t USING old o WHERE t.task_id = o.task_id
), event AS (
    DELETE FROM baton.event e USING old o WHERE e.tape_id = o.task_id
), step AS (
    DELETE FROM baton.step WHERE run_id = $1 RETURNING step_id
), step_count AS (
    DELETE FROM baton.step_count c USING step s WHERE c.step_id = s.step_id
), slot AS (
    DELETE FROM baton.slot l USING (SELECT step_id FROM step UNION ALL SELECT $1) s WHERE l.slot_key = s.step_id
), slot_key AS (
    DELETE FROM baton.slot_key k USING (SELECT step_id FROM step UNION ALL SELECT $1) s WHERE k.slot_key = s.step_id
), due AS (
    DELETE FROM baton.due u USING (SELECT step_id FROM step UNION ALL SELECT $1) s WHERE s.step_id IN (u.slot_key, u.step_id)
), dispatch AS (
    DELETE FROM baton.dispatch WHERE scope_id = $1
), tape AS (
    DELETE FROM baton.event WHERE tape_id = $1 RETURNING seq
), run AS (
    DELETE FROM baton.run WHERE run_id = $1 RETURNING workflow_id
), compensation AS (
    DELETE FROM baton.compensation WHERE run_id = $1
), saga AS (
    DELETE FROM baton.saga g USING old o WHERE EXISTS (SELECT FROM baton.saga) AND g.task_id = o.task_id
), workflow AS (
    DELETE FROM baton.workflow w USING run r WHERE w.workflow_id = r.workflow_id AND w.name IS NULL
)
SELECT coalesce(sum(last_seq), 0)::bigint + (SELECT count(*) FROM tape) FROM old
