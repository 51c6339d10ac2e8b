-- 10,000 live leases, and as many rows to be updated beside them. A token is its task's id, so that a script knows it.
SELECT count(*) FROM task_create_many('bench', array_fill('{"k": 1}'::jsonb, ARRAY[9000]));
SELECT count(*) FROM generate_series(1, 10) g, task_acquire_lease('bench', 'worker ' || g, '1 h', 1000);
SET session_replication_role = replica;
UPDATE baton.task_live SET lease_token = task_id;
RESET session_replication_role;
CREATE TABLE bench_lease (id int PRIMARY KEY, expires_at timestamptz NOT NULL, filler text NOT NULL) WITH (fillfactor = 70);
INSERT INTO bench_lease SELECT g, now(), repeat('x', 100) FROM generate_series(1, 10000) g;
CREATE TABLE bench_event (LIKE baton.event INCLUDING ALL);
CREATE SEQUENCE bench_event_seq;
VACUUM ANALYZE;
