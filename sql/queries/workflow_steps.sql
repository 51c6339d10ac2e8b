-- The steps of a run that the caller may look at (queues $2), in an order in which each comes after those it needs: how many of its items run
-- and have ended, how, and what came of them. Takes no lock.
SELECT s.name, s.state, s.needs, s.total,
    (SELECT count(*) FROM baton.task_live l WHERE l.step_id = s.step_id AND l.state = 3)::int,
    coalesce(c.completed, 0)::int, coalesce(c.failed, 0)::int,
    CASE WHEN s.state >= 10 AND s.state <> 15 THEN (
        SELECT CASE WHEN s.with_items THEN coalesce(jsonb_agg(d.result ORDER BY t.item_index), '[]') ELSE jsonb_agg(d.result) -> 0 END
        FROM baton.task t JOIN baton.task_done d USING (task_id) WHERE t.step_id = s.step_id) END,
    s.started_at, s.finalized_at
FROM baton.step s
LEFT JOIN LATERAL (SELECT sum(completed) AS completed, sum(failed) AS failed FROM baton.step_count c WHERE c.step_id = s.step_id) c ON true
WHERE s.run_id = $1 AND ($2 IS NULL OR s.queue_id = ANY ($2))
ORDER BY s.step_id
