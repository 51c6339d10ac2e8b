-- A compensation ($1) cannot be run: its payload cannot be made ($2). Locks its row as UPDATE does; its run is locked by this transaction.
UPDATE baton.compensation SET state = 11, finalized_at = baton._clock(), error = $2 WHERE compensation_id = $1
