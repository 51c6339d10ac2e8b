-- After a restart, a promotion or a restore ids and tokens go on ahead of what the lost server may have handed out. Another server is
-- made believe here: what is drawn was drawn by one with another mark.
SELECT task_id, lease_token FROM task_create('default'), LATERAL (SELECT lease_token FROM task_acquire_lease('default', 'w')) l;
SELECT task_id FROM task_create('default');
SELECT last_value AS mark FROM baton.server_seq \gset
SELECT :mark > 0 AS marked;

-- A backend has looked once.
SELECT setval('baton.server_seq', 1);
SELECT lease_token FROM task_acquire_lease('default', 'w');

-- The next one goes ahead, by the clock: 2^18 for each second since 2020…
\c -
SELECT task_id FROM task_create('default') \gset
SELECT :task_id / (1 << 18) - extract(epoch FROM clock_timestamp() - '2020-01-01 00:00+00')::bigint BETWEEN -60 AND 1 AS by_the_clock,
    last_value = :mark AS marked FROM baton.server_seq;
SELECT lease_token FROM task_acquire_lease('default', 'w') \gset
SELECT :lease_token / (1 << 18) - extract(epoch FROM clock_timestamp() - '2020-01-01 00:00+00')::bigint BETWEEN -60 AND 1 AS by_the_clock;
-- …and goes on from there, one by one.
SELECT task_id - :task_id AS next FROM task_create('default');
SELECT lease_token - :lease_token AS next FROM task_acquire_lease('default', 'w');
\c -
SELECT task_id - :task_id AS next FROM task_create('default');

-- Where the clock is behind what was drawn, to the next multiple of 2^36.
SELECT setval('baton.token_seq', 5::bigint << 47), setval('baton.server_seq', 1) \gset
\c -
SELECT lease_token - (5::bigint << 47) = (1::bigint << 36) + 1 AS by_the_gap FROM task_acquire_lease('default', 'w');

-- What is rolled back was ahead all the same, and nobody goes ahead twice.
SELECT setval('baton.server_seq', 1) \gset
SELECT last_value AS last FROM baton.id_seq \gset
\c -
BEGIN;
SELECT task_id > :last + 1 AS ahead FROM task_create('default');
ROLLBACK;
SELECT last_value = :mark AS marked FROM baton.server_seq;
SELECT task_id AS first FROM task_create('default') \gset
\c -
SELECT task_id - :first AS next FROM task_create('default');

-- Functions that read do not look.
SELECT setval('baton.server_seq', 1) \gset
\c -
SELECT count(*) FROM task_list('default');
SELECT last_value FROM baton.server_seq;
-- Nor does who may not call.
CREATE ROLE regress_nobody;
GRANT EXECUTE ON FUNCTION queue_create TO regress_nobody;
SET ROLE regress_nobody;
SELECT queue_create('mine');
RESET ROLE;
SELECT last_value FROM baton.server_seq;

-- Another installation is another mark, in the same server and session.
DROP EXTENSION pg_baton;
CREATE EXTENSION pg_baton;
SELECT task_id FROM task_create('default');
SELECT last_value NOT IN (1, :mark) AS marked FROM baton.server_seq;
SELECT * FROM baton_check(true);
