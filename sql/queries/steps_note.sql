-- The ends of these steps are on the tape. Locks the steps as UPDATE does; their run is locked by this transaction.
UPDATE baton.step SET noted = true WHERE step_id = ANY ($1)
