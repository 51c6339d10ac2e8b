-- Puts back what was taken from a queue and could not be done: what follows from where a step is. Takes no lock beyond the new row's own.
INSERT INTO baton.due (due_id, step_id, queue_id) VALUES (nextval('baton.due_id_seq'), $1, $2)
