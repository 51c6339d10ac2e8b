-- What the workloads need.
CREATE EXTENSION pg_baton;
SELECT queue_create('bench');
CREATE TABLE bench_row (id int PRIMARY KEY, n int, filler text);
INSERT INTO bench_row SELECT g, 0, repeat('x', 100) FROM generate_series(1, 10000) g;
SELECT count(*) FROM task_create_many('bench', array_fill('{"k": 1}'::jsonb, ARRAY[1000]));
VACUUM ANALYZE;
