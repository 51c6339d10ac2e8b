-- Removes these tasks, whose done rows are at $2, locked by this transaction, with their tapes. Locks the rows of
-- what was asked as DELETE does, waiting for who annotates them.
WITH old AS MATERIALIZED (
    SELECT unnest($1) AS task_id
), done AS (
    DELETE FROM baton.task_done d WHERE d.ctid = ANY ($2)
    RETURNING d.task_id, d.on_final_of, d.last_seq > 1 + (d.leased_seq IS NOT NULL)::int AS has_events
), task AS (
    DELETE FROM baton.task t USING old o WHERE t.task_id = o.task_id
), event AS (
    -- The leased event of the last lease and the final event are no rows.
    DELETE FROM baton.event e USING done d WHERE d.has_events AND e.tape_id = d.task_id
)
UPDATE baton.task_done d SET on_final_task_id = NULL
FROM done o
WHERE o.on_final_of IS NOT NULL AND d.task_id = o.on_final_of AND d.on_final_task_id = o.task_id
  AND d.task_id NOT IN (SELECT task_id FROM old)
