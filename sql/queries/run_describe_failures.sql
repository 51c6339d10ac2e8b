-- Failed tasks ($1; one that was redriven is none any more) and steps that failed by themselves ($2), as a checkpoint's detail lists them. Takes no lock.
SELECT coalesce((SELECT jsonb_agg(jsonb_build_object('task_id', t.task_id, 'step', t.name, 'item_index', t.item_index) ORDER BY t.task_id)
                 FROM unnest($1) AS u (task_id) JOIN baton.task t USING (task_id) WHERE t.step_id IS NOT NULL), '[]')
    || coalesce((SELECT jsonb_agg(jsonb_build_object('step', u.name)) FROM unnest($2) AS u (name)), '[]')
