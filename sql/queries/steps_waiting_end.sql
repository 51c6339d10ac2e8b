-- Waiting steps of a run end as cancelled (all, or those named in $2), noted; returns them. Locks the steps as UPDATE does; the run is locked by this transaction.
UPDATE baton.step SET state = 12, finalized_at = baton._clock(), noted = true WHERE run_id = $1 AND state = 0 AND ($2 IS NULL OR name = ANY ($2))
RETURNING name
