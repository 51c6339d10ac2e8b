-- The failures that came while a run was paused at another checkpoint. Locks the run as UPDATE does (FOR NO KEY UPDATE); this transaction holds it.
UPDATE baton.run r SET failed = NULL FROM (SELECT run_id, failed FROM baton.run WHERE run_id = $1) old WHERE r.run_id = old.run_id AND old.failed IS NOT NULL
RETURNING old.failed
