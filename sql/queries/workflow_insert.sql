-- A version of a definition; no row if somebody has just defined it. Takes no lock beyond the new row's own (it waits for another
-- transaction that defines the same version).
INSERT INTO baton.workflow (workflow_id, created_at, version, name, definition)
VALUES (nextval('baton.id_seq'), baton._clock(), $2, $1, $3)
ON CONFLICT DO NOTHING
RETURNING workflow_id
