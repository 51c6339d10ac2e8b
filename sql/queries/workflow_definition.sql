-- A definition, as text. Takes no lock.
SELECT definition::text FROM baton.workflow WHERE workflow_id = $1
