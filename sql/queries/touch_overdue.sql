-- Heartbeats have extended these leases: looks at them again when they run out. The tasks are locked FOR
-- UPDATE by this transaction.
UPDATE baton.task_live SET check_at = lease_expires_at WHERE task_id = ANY ($1)
