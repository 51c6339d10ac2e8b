-- A compensation's task ($1) has ended: the ledger says how. Locks its row as UPDATE does. Returns whose work it undid.
UPDATE baton.compensation c SET state = d.state, finalized_at = d.finalized_at, error = d.error
FROM baton.task_done d WHERE d.task_id = $1 AND c.compensation_task_id = $1
RETURNING c.task_id
