-- Whether a run has ended in this state with this result. Takes no lock.
SELECT state = $2 AND result IS NOT DISTINCT FROM $3 FROM baton.run WHERE run_id = $1
