-- Removes up to $2 tasks that ended before $1 ago, stand alone, in the queues $3 and the states $4 (NULL: all), first
-- those that ended first, from the floor $5 on, with all that belongs to them. Returns how many tasks, how many events
-- their tapes had, whether there are more, the first visible end, and the time. Locks their done rows (and the next one) FOR UPDATE, skipping what others hold; then their
-- rows as DELETE does.
WITH first AS MATERIALIZED (
    SELECT finalized_at FROM baton.task_done
    WHERE shard IS NULL AND finalized_at > $5 ORDER BY finalized_at LIMIT 1
), found AS MATERIALIZED (
    SELECT task_id, last_seq, leased_seq FROM baton.task_done
    WHERE shard IS NULL AND finalized_at >= (SELECT finalized_at FROM first) AND finalized_at < (SELECT baton._clock() - $1)
      AND ($3 IS NULL OR queue_id = ANY ($3)) AND ($4 IS NULL OR state = ANY ($4))
    ORDER BY finalized_at LIMIT $2 + 1
    FOR UPDATE SKIP LOCKED
), old AS MATERIALIZED (
    SELECT * FROM found LIMIT $2
), done AS (
    -- (Not by ctid, though it is cheaper: a row that another purge has just updated is locked where it is now, and not
    -- visible there.)
    DELETE FROM baton.task_done d USING old o WHERE d.task_id = o.task_id
), task AS (
    DELETE FROM baton.task t USING old o WHERE t.task_id = o.task_id
    RETURNING t.task_id, t.on_final_of
), event AS (
    -- The leased event of the last lease and the final event are no rows.
    DELETE FROM baton.event e USING old o
    WHERE e.tape_id = o.task_id AND o.last_seq > 1 + (o.leased_seq IS NOT NULL)::int
), annotation AS (
    -- (Few installations have any of these three: a table that is empty is not looked into for every task.)
    DELETE FROM baton.annotation a USING old o WHERE EXISTS (SELECT FROM baton.annotation) AND a.task_id = o.task_id
), dispatch AS (
    DELETE FROM baton.dispatch d USING old o WHERE EXISTS (SELECT FROM baton.dispatch) AND d.scope_id = o.task_id
), redrive AS (
    DELETE FROM baton.redrive r USING old o WHERE EXISTS (SELECT FROM baton.redrive) AND r.task_id = o.task_id
), untold AS (
    UPDATE baton.task_done d SET on_final_task_id = NULL FROM task t
    WHERE t.on_final_of IS NOT NULL AND d.task_id = t.on_final_of AND d.on_final_task_id = t.task_id
      AND d.task_id NOT IN (SELECT task_id FROM old)
)
SELECT count(*), coalesce(sum(last_seq), 0)::bigint, (SELECT count(*) FROM found) > $2, (SELECT finalized_at FROM first), baton._clock()
FROM old
