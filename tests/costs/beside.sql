-- 100,000 tasks that no call may notice: scheduled for later, waiting for a slot, finished. Few enough for no index to get a level more,
-- which would be a buffer more for each look into it.
SELECT count(*) FROM generate_series(1, 5) g, task_create_many('bench', array_fill(jsonb_build_object('k', g), ARRAY[10000]), run_at => now() + '1 day');
SELECT slot_set('full', 0);
SELECT count(*) FROM generate_series(1, 4) g, task_create_many('bench', array_fill(jsonb_build_object('k', g), ARRAY[10000]), slot_keys => '{full}');
SELECT count(*) FROM task_create_many('bench', array_fill('{"k": 1}'::jsonb, ARRAY[10000])) t, task_cancel(t.task_id);
VACUUM ANALYZE;
