-- :items tasks that have nothing to do with each other.
SELECT count(*) FROM generate_series(1, :items / 1000) g, task_create_many('bench', array_fill(jsonb_build_object('k', g % 10), ARRAY[1000]));
