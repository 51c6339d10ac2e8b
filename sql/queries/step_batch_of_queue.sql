-- The first unbounded step of a queue, of a run that goes on, that has items which are no tasks yet. Takes no lock.
SELECT b.step_id FROM baton.step_batch b JOIN baton.step s USING (step_id) JOIN baton.run r USING (run_id)
WHERE b.queue_id = $1 AND (r.state = 0 OR r.state = 4 AND s.survives_failure)
ORDER BY b.queue_id, b.step_id, b.first_index LIMIT 1
