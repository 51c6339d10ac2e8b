-- Leaves what follows from where a step is, because its run's gate is closed, or it takes locks that come before those held: to who looks into its queue,
-- or into a queue where something follows it. Takes no lock beyond the new rows' own.
INSERT INTO baton.due (due_id, step_id, queue_id)
SELECT nextval('baton.due_id_seq'), $1, q.queue_id FROM (
    SELECT queue_id FROM baton.step WHERE step_id = $1
    UNION
    SELECT successor_queue_id FROM baton.step WHERE step_id = $1 AND successor_queue_id IS NOT NULL
    UNION
    SELECT n.queue_id FROM baton.step s JOIN baton.step n ON n.run_id = s.run_id AND s.name = ANY (n.needs) AND n.state = 0 WHERE s.step_id = $1
) q
