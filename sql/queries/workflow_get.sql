-- A run, if the caller may look at one of its steps' queues ($2): with its tasks per state, and what came of it: what was given at its end, or the
-- results of its last steps, as far as they are in the caller's queues, and have no more than $3 bytes together. Takes no lock.
SELECT r.run_id, r.name, r.version, r.key, r.state, r.checkpoint, r.checkpoint_detail, r.input,
    coalesce(r.result, CASE WHEN r.state >= 10 AND r.workflow_id IS NOT NULL AND (
        SELECT coalesce(sum(pg_column_size(jsonb_build_array(d.result))), 0)
        FROM baton.step s JOIN baton.task t USING (step_id) JOIN baton.task_done d USING (task_id)
        WHERE s.run_id = r.run_id AND s.state = 10 AND NOT EXISTS (SELECT FROM baton.step n WHERE n.run_id = r.run_id AND s.name = ANY (n.needs))) <= $3 THEN (
        SELECT jsonb_object_agg(s.name, CASE WHEN s.with_items THEN coalesce(d.results, '[]') ELSE d.results -> 0 END)
        FROM baton.step s
        CROSS JOIN LATERAL (SELECT jsonb_agg(d.result ORDER BY t.item_index) AS results FROM baton.task t JOIN baton.task_done d USING (task_id) WHERE t.step_id = s.step_id) d
        WHERE s.run_id = r.run_id AND s.state = 10 AND ($2 IS NULL OR s.queue_id = ANY ($2)) AND NOT EXISTS (SELECT FROM baton.step n WHERE n.run_id = r.run_id AND s.name = ANY (n.needs))) END),
    r.metadata,
    (SELECT coalesce(jsonb_object_agg(c.state, c.tasks) FILTER (WHERE c.tasks > 0), '{}') FROM (
        SELECT u.state, sum(u.tasks) AS tasks FROM (
            SELECT baton._state_name(l.state) AS state, count(*) AS tasks FROM baton.task_live l
            WHERE l.step_id = ANY (ARRAY(SELECT s.step_id FROM baton.step s WHERE s.run_id = r.run_id AND s.state = 1))
            GROUP BY l.state
            UNION ALL
            SELECT 'blocked', sum(cardinality(b.payloads)) FROM baton.step s JOIN baton.step_batch b USING (step_id) WHERE s.run_id = r.run_id
            UNION ALL
            SELECT v.state, v.tasks FROM (
                SELECT sum(c.completed) AS completed, sum(c.failed) - sum(c.quarantined) - sum(c.compensated_failed) AS failed, sum(c.cancelled) - sum(c.compensated) + sum(c.compensated_failed) AS cancelled,
                       sum(c.quarantined) AS quarantined, sum(c.compensated) AS compensated
                FROM baton.step s JOIN baton.step_count c USING (step_id) WHERE s.run_id = r.run_id) e
            CROSS JOIN LATERAL (VALUES ('completed', completed), ('failed', failed), ('cancelled', cancelled), ('quarantined', quarantined), ('compensated', compensated)) AS v (state, tasks)
        ) u GROUP BY u.state) c),
    r.created_at, r.finalized_at
FROM baton.run r
WHERE r.run_id = $1 AND ($2 IS NULL OR EXISTS (SELECT FROM baton.step s WHERE s.run_id = $1 AND s.queue_id = ANY ($2)))
