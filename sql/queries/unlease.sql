-- Takes back leases that this very transaction has granted ($1), because their runs are paused or called off: blocked ($2 = 1), or in line again
-- ($2 = 2) because a run's gate is closed right now. Nothing of it is on the tape. (Blocked, it sorts before what was never ready.) The tasks are locked by this transaction.
UPDATE baton.task_live SET state = $2, lease_token = NULL, owner = NULL, leased_at = NULL, lease_expires_at = NULL, check_at = NULL, leased_seq = NULL,
    attempt = attempt - 1, last_seq = last_seq - 1, ready_seq = nextval('baton.ready_seq') - CASE WHEN $2 = 1 THEN 2 ELSE 0 END * 9007199254740992, ready_at = CASE WHEN $2 = 2 THEN baton._clock() END
WHERE task_id = ANY ($1)
RETURNING task_id, queue_id, slot_keys
