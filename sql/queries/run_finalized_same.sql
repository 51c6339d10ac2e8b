-- Whether a run has ended (first, if what its tasks did is undone) in this state with this result. Takes no lock.
SELECT coalesce(first_state, state) = $2 AND result IS NOT DISTINCT FROM $3 FROM baton.run WHERE run_id = $1
