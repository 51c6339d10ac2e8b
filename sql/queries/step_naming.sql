-- The step of a run that names this successor, and whether all its items have ended. Takes no lock.
SELECT step_id, state >= 10 FROM baton.step WHERE run_id = $1 AND successor = $2
