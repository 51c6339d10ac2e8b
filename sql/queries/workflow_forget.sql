-- Removes a definition without a name. Locks it as DELETE does.
DELETE FROM baton.workflow WHERE workflow_id = $1 AND name IS NULL
