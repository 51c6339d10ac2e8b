-- How the compensations of a run's tasks stand: whether one is under way, whether one gave up; of those that were run for the run itself, how the last one ended. Takes no lock.
SELECT EXISTS (SELECT FROM baton.compensation WHERE run_id = $1 AND compensation_task_id IS NOT NULL AND state IS NULL),
    EXISTS (SELECT FROM baton.compensation WHERE run_id = $1 AND state > 10),
    l.task_id, l.compensation_no, l.name, l.compensation_task_id, l.state
FROM (SELECT) one
LEFT JOIN LATERAL (
    SELECT c.* FROM baton.compensation c JOIN baton.task_done d USING (task_id)
    WHERE c.run_id = $1 AND c.state IS NOT NULL AND d.state = 10
    ORDER BY c.run_id, c.compensation_id LIMIT 1
) l ON true
