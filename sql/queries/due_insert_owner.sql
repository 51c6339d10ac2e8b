-- Leaves what follows for a task whose work is being undone ($1), because others hold it, to who looks into queue $2. Takes no lock beyond the new row's own.
INSERT INTO baton.due (due_id, owner_id, queue_id) VALUES (nextval('baton.due_id_seq'), $1, $2)
