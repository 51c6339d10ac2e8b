-- A run's state. Takes no lock.
SELECT state FROM baton.run WHERE run_id = $1
