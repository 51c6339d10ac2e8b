-- The state of a step's run, read as it is committed now. Takes no lock.
SELECT r.state FROM baton.step s JOIN baton.run r USING (run_id) WHERE s.step_id = $1
