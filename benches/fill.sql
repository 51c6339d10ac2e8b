-- :batches times 10,000 tasks more in line.
SELECT count(*) FROM generate_series(1, :batches) g, task_create_many('bench', array_fill(jsonb_build_object('k', g % 10), ARRAY[10000]));
