-- The latest version of a workflow, and whether it is this definition. Takes no lock.
SELECT workflow_id, version, definition = $2 FROM baton.workflow WHERE name = $1 ORDER BY name, version DESC LIMIT 1
