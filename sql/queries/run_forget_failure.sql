-- A failed task of a paused run was redriven: it is no longer among the failures. Locks the run as UPDATE does; this transaction holds it.
UPDATE baton.run SET checkpoint_detail = jsonb_set(checkpoint_detail, '{failed}', coalesce(
    (SELECT jsonb_agg(f.value ORDER BY f.place) FROM jsonb_array_elements(checkpoint_detail -> 'failed') WITH ORDINALITY AS f (value, place) WHERE (f.value -> 'task_id') IS DISTINCT FROM to_jsonb($2)), '[]'))
WHERE run_id = $1
