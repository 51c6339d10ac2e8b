-- The runs that steps stand in. Takes no lock.
SELECT run_id, step_id FROM baton.step WHERE step_id = ANY ($1)
