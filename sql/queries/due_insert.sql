-- Leaves work that would have meant to wait: what follows from where a step is ($1), or a key's free slot ($2). Takes no
-- lock beyond the new row's own.
INSERT INTO baton.due (due_id, step_id, slot_key, queue_id) VALUES (nextval('baton.due_id_seq'), $1, $2, $3)
