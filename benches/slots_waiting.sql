-- :items tasks that wait for slots of one key, eight at a time.
SELECT slot_set('one', 8);
SELECT count(*) FROM generate_series(1, :items / 1000) g, task_create_many('bench', array_fill(jsonb_build_object('k', g % 10), ARRAY[1000]), slot_keys => '{one}');
