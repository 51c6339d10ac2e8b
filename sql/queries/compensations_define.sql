-- These tasks ($1, in this order) have completed, and their steps say how to undo that: it is registered. Takes no lock beyond the new rows' own.
INSERT INTO baton.compensation (compensation_id, task_id, run_id, registered_at, compensation_no, queue_id, name)
SELECT nextval('baton.id_seq'), t.task_id, t.run_id, baton._clock(), 1 + (SELECT count(*) FROM baton.compensation c WHERE c.task_id = t.task_id), s.compensate_queue_id, s.name
FROM unnest($1) WITH ORDINALITY AS u (task_id, ordinal) JOIN baton.task t USING (task_id) JOIN baton.step s USING (step_id)
WHERE s.compensate_queue_id IS NOT NULL
ORDER BY u.ordinal
