-- task_start: tells dispatched from begun.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT * FROM task_start(999999999, 1);
SELECT task_id AS t FROM task_create('q') \gset
-- Not leased: no token is current.
SELECT * FROM task_start(:t, 1);
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '10 s') \gset
SELECT * FROM task_start(:t, :l + 1);
SELECT started_at FROM task_get(:t);
-- It extends the lease: by the queue's lease_ttl, or by ttl; it never shortens it.
SELECT outcome, lease_expires_at > clock_timestamp() + interval '50 s' AS extended FROM task_start(:t, :l);
SELECT started_at IS NOT NULL AS started, state FROM task_get(:t);
SELECT outcome, lease_expires_at = (SELECT lease_expires_at FROM task_get(:t)) AS until FROM task_start(:t, :l, '1 h');
SELECT seq, kind, body, lease_token = :l AS token FROM task_events(:t);
-- A new lease starts anew.
SELECT outcome FROM task_release(:t, :l);
SELECT * FROM task_start(:t, :l);
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '10 s') \gset
SELECT started_at FROM task_get(:t);
SELECT outcome, lease_expires_at > clock_timestamp() + interval '9 s' AS not_shortened FROM task_start(:t, :l, '100 ms');
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT * FROM task_start(:t, :l);
SELECT started_at IS NOT NULL AS started FROM task_get(:t);
-- An expired lease is told so, started or not, and not revived.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT * FROM task_start(:t, :l);
SELECT started_at, lease_expires_at < clock_timestamp() AS expired FROM task_get(:t);
SELECT outcome FROM task_acquire_lease_by_id(:t, 'other');
SELECT * FROM task_start(:t, :l);

SELECT * FROM baton_check(true);
