-- 1,001 slot keys, each used once before.
SELECT count(slot_set(CASE g WHEN 0 THEN 'one' ELSE 'key ' || g END, 8)) FROM generate_series(0, 1000) g;
SELECT count(*) FROM generate_series(0, 1000) g, task_create('bench', slot_keys => ARRAY[CASE g WHEN 0 THEN 'one' ELSE 'key ' || g END]);
SELECT count(*) FROM baton.task_live l, task_cancel(l.task_id);
VACUUM ANALYZE;
