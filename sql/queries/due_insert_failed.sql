-- Leaves the news of a failure to who looks into the step's queue, because its run's gate is closed. Takes no lock beyond the new row's own.
INSERT INTO baton.due (due_id, step_id, failed_task_id, queue_id)
SELECT nextval('baton.due_id_seq'), d.step_id, d.task_id, d.queue_id FROM baton.task_done d WHERE d.task_id = ANY ($1)
