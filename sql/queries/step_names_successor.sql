-- Whether a step of the run names this successor. Takes no lock.
SELECT EXISTS (SELECT FROM baton.step WHERE run_id = $1 AND successor = $2)
