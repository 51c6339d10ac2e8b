-- A step ends in state $2, with error $3; $4: who ends it looks at what follows. Locks the step as UPDATE does; it is locked by this transaction, or its run is.
UPDATE baton.step SET state = $2, finalized_at = baton._clock(), error = $3, noted = $4 WHERE step_id = $1
