-- More failures ($2, an array) in a run that is paused: part of the checkpoint's detail if that is on_error, else kept until it is resumed. Locks the run
-- as UPDATE does (FOR NO KEY UPDATE); this transaction holds it.
UPDATE baton.run SET
    checkpoint_detail = CASE WHEN checkpoint = 'on_error' THEN jsonb_set(coalesce(checkpoint_detail, '{}'), '{failed}', coalesce(checkpoint_detail -> 'failed', '[]') || $2) ELSE checkpoint_detail END,
    failed = CASE WHEN checkpoint = 'on_error' THEN failed ELSE coalesce(failed, '[]') || $2 END
WHERE run_id = $1
