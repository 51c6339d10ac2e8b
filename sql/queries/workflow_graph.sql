-- The steps of a run that the caller may look at (queues $2), as they are drawn. Takes no lock.
SELECT s.name, s.state, s.total, coalesce(c.ended, 0)::int, s.needs
FROM baton.step s
LEFT JOIN LATERAL (SELECT sum(completed + failed + cancelled) AS ended FROM baton.step_count c WHERE c.step_id = s.step_id) c ON true
WHERE s.run_id = $1 AND ($2 IS NULL OR s.queue_id = ANY ($2))
ORDER BY s.step_id
