-- A run's state, read as it is committed now. Takes no lock.
SELECT state FROM baton.run WHERE run_id = $1
