-- Reserves a successor's place in its scope; no row if it is taken. Takes no lock beyond the new row's own
-- (it waits for another transaction that is dispatching the same one): this is what makes it exactly one.
INSERT INTO baton.dispatch (scope_id, successor, task_id) VALUES ($1, $2, nextval('baton.id_seq'))
ON CONFLICT (scope_id, successor) DO NOTHING
RETURNING task_id
