-- Leaves a key that may have a free slot for who is in line: to hand it out now would mean to wait. Takes no lock beyond the new row's own.
INSERT INTO baton.due (due_id, slot_key, queue_id) VALUES (nextval('baton.due_id_seq'), $1, $2)
