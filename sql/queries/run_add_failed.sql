-- More failures ($2, an array) in a run that is paused, each once: part of the checkpoint's detail if that is on_error, else kept until it is resumed. Locks
-- the run as UPDATE does (FOR NO KEY UPDATE); this transaction holds it.
WITH known AS MATERIALIZED (
    SELECT CASE WHEN checkpoint = 'on_error' THEN coalesce(checkpoint_detail -> 'failed', '[]') ELSE coalesce(failed, '[]') END AS failed FROM baton.run WHERE run_id = $1
), more AS MATERIALIZED (
    SELECT k.failed || coalesce((SELECT jsonb_agg(f.value) FROM jsonb_array_elements($2) AS f (value) WHERE NOT k.failed @> jsonb_build_array(f.value)), '[]') AS failed FROM known k
)
UPDATE baton.run r SET
    checkpoint_detail = CASE WHEN r.checkpoint = 'on_error' THEN jsonb_set(coalesce(r.checkpoint_detail, '{}'), '{failed}', m.failed) ELSE r.checkpoint_detail END,
    failed = CASE WHEN r.checkpoint = 'on_error' THEN r.failed ELSE m.failed END
FROM more m WHERE r.run_id = $1
