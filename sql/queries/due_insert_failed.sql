-- Leaves the news of a failure to who looks into the step's queue, because its run's gate is closed. Takes no lock beyond the new row's own.
INSERT INTO baton.due (due_id, step_id, failed_task_id, queue_id)
SELECT nextval('baton.due_id_seq'), t.step_id, t.task_id, t.queue_id FROM baton.task t WHERE t.task_id = ANY ($1) AND t.step_id IS NOT NULL
