-- Takes back what a role (NULL: any) was granted: one capability (NULL: any), in one queue (NULL: everywhere); and
-- from whom, and whether the role was granted USAGE of the functions' schema with it.
-- Locks the rows as DELETE does (FOR UPDATE).
DELETE FROM baton.capability
WHERE ($1 IS NULL OR role_name = $1) AND ($2 IS NULL OR capability = $2) AND ($3 IS NULL OR queue_id = $3)
RETURNING role_name, uses_schema
