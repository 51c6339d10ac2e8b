-- Who may do what. Takes no lock.
SELECT role_name, capability, queue_id FROM baton.capability
