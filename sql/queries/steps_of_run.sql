-- Where the steps of a run are: all, or those of these names. Takes no lock.
SELECT step_id, name, state, queue_id, checkpoint_passed, survives_failure FROM baton.step WHERE run_id = $1 AND ($2 IS NULL OR name = ANY ($2))
