-- task_cancel: each state, with and without force; what follows.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT * FROM task_cancel(999999999);

-- ready, scheduled, blocked: terminal at once.
SELECT task_id AS t FROM task_create('q') \gset
SELECT * FROM task_cancel(:t);
SELECT state, reason, finalized_at IS NOT NULL AS finalized, cancel_requested_at, attempt FROM task_get(:t);
SELECT seq, kind, body, lease_token FROM task_events(:t);
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT task_id AS t FROM task_create('q', run_at => clock_timestamp() + interval '1 h') \gset
SELECT * FROM task_cancel(:t, 'not today');
SELECT state, reason FROM task_get(:t);
SELECT run_id AS run, max(task_id) AS t FROM task_create_items('q', 'g', ARRAY['1', '2']::jsonb[], max_parallel => 1) GROUP BY run_id \gset
SELECT * FROM task_cancel(task_id => :t, reason => 'too many', force => true);
SELECT state, reason FROM task_get(:t);
-- terminal: nothing changes, the state tells how it ended
SELECT * FROM task_cancel(:t, 'again');
SELECT reason FROM task_get(:t);
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT * FROM task_cancel(:t, force => true);

-- running: asked once; the worker learns it, and its end stands.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT * FROM task_cancel(:t, 'changed my mind');
SELECT state, reason, owner, cancel_requested_at IS NOT NULL AS asked FROM task_get(:t);
SELECT outcome, cancel_requested FROM task_heartbeat(:t, :l, '2 min');
SELECT * FROM task_cancel(:t, 'another reason');
SELECT seq, kind, body, lease_token = :l AS token FROM task_events(:t);
SELECT outcome FROM task_start(:t, :l);
SELECT outcome, state FROM task_finalize(:t, :l, 'completed', '"done all the same"');
SELECT state, reason, result, cancel_requested_at IS NOT NULL AS asked FROM task_get(:t);

-- Asked, and the lease runs out: cancelled, whatever the queue's on_lost says.
SELECT name, queue_create(name, on_lost => on_lost, max_lost_leases => 1) FROM (VALUES ('a', 'requeue'), ('b', 'requeue_unstarted'), ('c', 'fail')) v (name, on_lost);
SELECT outcome FROM unnest(ARRAY['a', 'b', 'c']) q, task_create(q, key => 'k');
SELECT c.outcome FROM unnest(ARRAY['a', 'b', 'c']) q, task_acquire_lease(q, 'w', '100 ms') l, task_cancel(l.task_id, 'asked') c;
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT q, state, reason FROM unnest(ARRAY['a', 'b', 'c']) q, task_get_by_key(q, 'k');
-- Without a reason.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT outcome FROM task_cancel(:t);
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT state, reason FROM task_get(:t);
-- A lease that has run out, of a task nobody has reaped, is running still: it is asked.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT pg_sleep(0.12);
SELECT * FROM task_cancel(:t);
SELECT count(*) FROM task_acquire_lease('q', 'w2');
SELECT state, reason FROM task_get(:t);

-- force: the lease is void at once, and nothing completes.
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_cancel(:t);
SELECT * FROM task_cancel(:t, force => true);
SELECT state, reason, owner, lease_token FROM task_get(:t);
SELECT outcome, lease_expires_at FROM task_heartbeat(:t, :l);
SELECT outcome, state FROM task_finalize(:t, :l, 'completed');
SELECT outcome, state FROM task_fail_attempt(:t, :l);
SELECT outcome FROM task_release(:t, :l);
SELECT outcome FROM task_append_event(:t, 'late', lease_token => :l);
\set VERBOSITY sqlstate
SELECT task_require_lease(:t, :l);
\set VERBOSITY verbose
SELECT seq, kind, body FROM task_events(:t);
SELECT task_id AS t FROM task_create('q') \gset
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT * FROM task_cancel(:t, 'stop', true);
SELECT state, reason FROM task_get(:t);

-- It moves the next in line, and ends a group.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', ARRAY['0', '1', '2']::jsonb[], max_parallel => 1, successor => 'after') \gset
SELECT c.outcome FROM task_items(:run, 'g', -1, 1) i, task_cancel(i.task_id) c;
SELECT item_index, state FROM task_items(:run, 'g');
SELECT c.outcome FROM task_items(:run, 'g', 0, 1) i, task_cancel(i.task_id) c;
SELECT c.outcome FROM task_items(:run, 'g', 1, 1) i, task_cancel(i.task_id) c;
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 10);

SELECT * FROM baton_check(true);
