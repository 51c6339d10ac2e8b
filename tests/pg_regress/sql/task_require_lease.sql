-- task_require_lease: business writes beside it are fenced.

SELECT queue_create('q', lease_ttl => '1 min');
CREATE TABLE ledger (task_id bigint, amount int);
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset

-- Held: it returns, and the write stands. Start, heartbeat and events go on beside it.
BEGIN;
SELECT task_require_lease(:t, :l);
INSERT INTO ledger VALUES (:t, 1);
SELECT outcome FROM task_start(:t, :l);
SELECT outcome FROM task_heartbeat(:t, :l, '10 min');
SELECT outcome FROM task_append_event(:t, 'note', lease_token => :l);
SELECT task_require_lease(:t, :l);
COMMIT;
SELECT amount FROM ledger;

-- Not the current token: it raises, and the write is undone.
BEGIN;
INSERT INTO ledger VALUES (:t, 2);
SELECT task_require_lease(:t, :l + 1);
COMMIT;
SELECT amount FROM ledger;
-- A cancel that was asked for takes nothing away.
SELECT outcome FROM task_cancel(:t);
SELECT task_require_lease(:t, :l);
-- In one transaction with the finalize; not after it.
BEGIN;
SELECT task_require_lease(:t, :l);
INSERT INTO ledger VALUES (:t, 3);
SELECT outcome FROM task_finalize(:t, :l, 'completed');
COMMIT;
SELECT task_require_lease(:t, :l);
SELECT amount FROM ledger;

-- Never leased, released, expired, taken, no such task.
SELECT task_id AS t FROM task_create('q') \gset
SELECT task_require_lease(:t, 1);
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_release(:t, :l);
SELECT task_require_lease(:t, :l);
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT task_require_lease(:t, :l);
SELECT pg_sleep(0.12);
SELECT task_require_lease(:t, :l);
SELECT outcome FROM task_acquire_lease_by_id(:t, 'w2');
SELECT task_require_lease(:t, :l);
SELECT task_require_lease(999999999, 1);

-- A DO block or function can catch it.
DO $$ BEGIN PERFORM task_require_lease(999999999, 1); EXCEPTION WHEN object_in_use THEN RAISE NOTICE 'fenced'; END $$;

SELECT * FROM baton_check(true);
