-- A queue by its name, dropped or not: its finished tasks stay readable. Takes no lock.
SELECT queue_id FROM baton.queue WHERE name = $1
