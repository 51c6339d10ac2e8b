-- Up to $2 tasks that ended before $1 ago, stand alone, in the queues $3 and the states $4 (NULL: all), first those that
-- ended first, from the floor $5 on: their ids, how many events their tapes have, whether there are more, the first
-- visible end, and the time. (And where their done rows are: they cannot move any more.) A task that tells of an end goes only if the task that ended is gone, or can be told
-- that nobody tells of it any more. Locks their done rows FOR UPDATE, and those of the tasks they tell
-- of FOR NO KEY UPDATE, skipping what others hold.
WITH first AS MATERIALIZED (
    SELECT finalized_at FROM baton.task_done
    WHERE shard IS NULL AND finalized_at > $5 ORDER BY finalized_at LIMIT 1
), found AS MATERIALIZED (
    SELECT ctid AS place, task_id, last_seq, on_final_of, finalized_at FROM baton.task_done
    WHERE shard IS NULL AND finalized_at >= (SELECT finalized_at FROM first) AND finalized_at < (SELECT baton._clock() - $1)
      AND ($3 IS NULL OR queue_id = ANY ($3)) AND ($4 IS NULL OR state = ANY ($4))
    ORDER BY finalized_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), told_of AS MATERIALIZED (
    SELECT d.task_id FROM (SELECT DISTINCT on_final_of FROM found WHERE on_final_of IS NOT NULL) f
    JOIN baton.task_done d ON d.task_id = f.on_final_of
    FOR NO KEY UPDATE OF d SKIP LOCKED
), old AS MATERIALIZED (
    SELECT place, task_id, last_seq FROM found f
    WHERE on_final_of IS NULL OR on_final_of IN (SELECT task_id FROM told_of)
       OR NOT EXISTS (SELECT FROM baton.task_done d WHERE d.task_id = f.on_final_of)
)
SELECT coalesce(array_agg(task_id), '{}'), coalesce(array_agg(place), '{}'), coalesce(sum(last_seq), 0)::bigint, CASE WHEN (SELECT count(*) FROM found) = $2 THEN EXISTS (
        SELECT FROM baton.task_done
        WHERE shard IS NULL AND finalized_at >= (SELECT max(finalized_at) FROM found) AND finalized_at < (SELECT baton._clock() - $1)
          AND ($3 IS NULL OR queue_id = ANY ($3)) AND ($4 IS NULL OR state = ANY ($4))
          AND task_id NOT IN (SELECT task_id FROM found)) ELSE false END,
    (SELECT finalized_at FROM first), baton._clock()
FROM old
