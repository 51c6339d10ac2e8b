-- A role may do something, in one queue or (NULL) in all. $4: it is granted USAGE of the functions' schema with
-- it. Takes no lock beyond the new row's own.
INSERT INTO baton.capability (role_name, capability, queue_id, uses_schema)
VALUES ($1, $2, $3, $4 OR EXISTS (SELECT FROM baton.capability WHERE role_name = $1 AND uses_schema))
ON CONFLICT (role_name, capability, queue_id) DO NOTHING
