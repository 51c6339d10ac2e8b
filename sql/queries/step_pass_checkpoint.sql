-- A run is paused before this step, once. Locks the step as UPDATE does; its run is locked by this transaction.
UPDATE baton.step SET checkpoint_passed = true WHERE step_id = $1
