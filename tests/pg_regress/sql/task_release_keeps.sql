-- What is given back gets in line anew, behind those that wait already; the leases it has lost before stay counted.

SELECT queue_create('q');
SELECT count(*) FROM task_create_many('q', '{1,2,3}'::jsonb[]);
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_release(:t, :l);
SELECT payload FROM task_acquire_lease('q', 'w');
SELECT payload FROM task_acquire_lease('q', 'w', max_tasks => 9);

-- It kills its workers, and is given back in between: the third loss is the last one.
SELECT queue_create('poison', max_lost_leases => 3);
SELECT task_id AS t FROM task_create('poison') \gset
SELECT lost_leases FROM task_acquire_lease('poison', 'w', '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap(queue => 'poison');
SELECT r.outcome, a.lost_leases FROM task_acquire_lease('poison', 'w') a, task_release(a.task_id, a.lease_token) r;
SELECT lost_leases FROM task_acquire_lease('poison', 'w', '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap(queue => 'poison');
SELECT r.outcome, a.lost_leases FROM task_acquire_lease('poison', 'w') a, task_release(a.task_id, a.lease_token) r;
SELECT lost_leases FROM task_acquire_lease('poison', 'w', '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap(queue => 'poison');
SELECT state, reason, attempt, lost_leases FROM task_get(:t);

SELECT * FROM baton_check(true);
