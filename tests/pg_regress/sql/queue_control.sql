-- queue_pause, queue_resume, queue_drop.

-- The queue "default" exists before its first use.
SELECT queue_drop('default');
SELECT count(*) FROM baton.queue;

SELECT queue_create('q', lease_ttl => '1 h', max_lost_leases => 2);
CREATE FUNCTION stats(q text) RETURNS TABLE (scheduled bigint, blocked bigint, ready bigint, running bigint, paused boolean) LANGUAGE sql AS $$
    SELECT scheduled, blocked, ready, running, paused FROM baton.queue_stats WHERE queue = q $$;

-- Paused: nothing is granted, neither from the line nor by id; what runs goes on.
SELECT outcome FROM unnest(ARRAY['runs', 'runs, too', 'expires', 'expires, too', 'waits']) key, task_create('q', key => key);
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT task_id AS t2, lease_token AS l2 FROM task_acquire_lease('q', 'w') \gset
SELECT key FROM task_acquire_lease('q', 'w', '270 ms', 2);
SELECT queue_pause('q');
SELECT queue_pause(name => 'q');
SELECT * FROM stats('q');
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT a.* FROM task_get_by_key('q', 'waits') t, task_acquire_lease_by_id(t.task_id, 'w') a;
SELECT outcome FROM task_start(:t, :l);
SELECT outcome FROM task_heartbeat(:t, :l, '2 h');
SELECT outcome FROM task_append_event(:t, 'note', NULL, :l);
SELECT task_require_lease(:t, :l);
SELECT outcome, state FROM task_finalize(:t, :l, 'completed');
SELECT outcome FROM task_release(:t2, :l2);
SELECT outcome FROM task_acquire_lease_by_id(:t2, 'w');
-- Tasks are created, scheduled, and called off.
SELECT c.outcome, c.state FROM task_create('q', key => 'new') c;
SELECT c.outcome, c.state FROM task_create('q', key => 'due', run_at => clock_timestamp() + interval '20 ms') c;
SELECT outcome FROM task_create_many('q', '{1}', keys => '{new}');
SELECT outcome, state FROM task_create_items('q', 'g', '{0,1}'::jsonb[], max_parallel => 1, key => 'g');
SELECT c.* FROM task_get_by_key('q', 'new') t, task_cancel(t.task_id) c;
-- An acquire that grants nothing still settles leases that ran out and makes due tasks ready.
SELECT outcome, held_by FROM task_get_by_key('q', 'expires') t, task_acquire_lease_by_id(t.task_id, 'w2');
SELECT pg_sleep(0.3);
SELECT * FROM stats('q');
SELECT a.* FROM task_get_by_key('q', 'expires') t, task_acquire_lease_by_id(t.task_id, 'w2') a;
SELECT a.outcome, a.state FROM task_get_by_key('q', 'due') t, task_acquire_lease_by_id(t.task_id, 'w2') a;
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT * FROM stats('q');
SELECT key, state, lost_leases FROM task_list('q') WHERE key LIKE 'expires%' ORDER BY 1;
SELECT r.outcome FROM task_reap(100, 'q') r;
-- The outcomes that come before not_ready.
SELECT a.outcome FROM task_acquire_lease_by_id(:t, 'w') a;
SELECT a.outcome FROM task_acquire_lease_by_id(999999999, 'w') a;
SELECT queue_resume('q');
SELECT lease_token AS l2 FROM task_acquire_lease_by_id(:t2, 'w') \gset
SELECT queue_pause('q');
SELECT outcome, held_by FROM task_acquire_lease_by_id(:t2, 'w');

-- Resumed: all of it, in order.
SELECT queue_resume('q');
SELECT queue_resume(name => 'q');
SELECT * FROM stats('q');
SELECT key, name, item_index FROM task_acquire_lease('q', 'w', max_tasks => 100);
-- Settings do not touch it; other queues go on.
SELECT queue_pause('q');
SELECT queue_alter('q', max_attempts => 3);
SELECT paused FROM stats('q');
SELECT queue_create('r');
SELECT outcome FROM task_create('r');
SELECT count(*) FROM task_acquire_lease('r', 'w');
SELECT queue_resume('q');
-- Undone with its transaction.
BEGIN;
SELECT queue_pause('q');
SELECT paused FROM stats('q');
ROLLBACK;
SELECT paused FROM stats('q');
-- A whole group in a paused queue goes on when it may; its successor waits like any other.
SELECT queue_create('then');
SELECT queue_pause('then');
SELECT DISTINCT run_id AS run FROM task_create_items('r', 'g', '{0}'::jsonb[], successor => 'after', successor_queue => 'then') \gset
SELECT f.outcome FROM task_acquire_lease('r', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT name, state FROM task_list('then');
SELECT count(*) FROM task_acquire_lease('then', 'w');
SELECT queue_resume('then');
SELECT name FROM task_acquire_lease('then', 'w');
-- A lease that runs out in a paused queue is settled by its on_lost.
SELECT queue_create('poison', max_lost_leases => 1);
SELECT count(*) FROM task_create_many('poison', '{1,2,3}');
SELECT count(*) FROM task_acquire_lease('poison', 'w', '100 ms', 3);
SELECT queue_pause('poison');
SELECT pg_sleep(0.12);
SELECT r.outcome FROM task_reap(1, 'poison') r;
SELECT count(*) FROM task_acquire_lease('poison', 'w');
SELECT state FROM task_list('poison');

-- The queue "default" before its first use.
SELECT * FROM stats('default');
SELECT queue_resume('default');
SELECT queue_pause('default');
SELECT paused FROM stats('default');
SELECT state FROM task_create('default');
SELECT count(*) FROM task_acquire_lease('default', 'w');
SELECT queue_resume('default');
SELECT count(*) FROM task_acquire_lease('default', 'w');

-- queue_drop: 55000 for each reason not to, and nothing has changed then.
SELECT queue_create('gone', lease_ttl => '2 min', max_attempts => 7, max_runtime => '1 h', on_lost => 'fail');
SELECT outcome, task_id AS t FROM task_create('gone', '1', key => 'ready', priority => 4) \gset
SELECT queue_drop('gone');
SELECT outcome FROM task_create('gone', '2', key => 'scheduled', run_at => clock_timestamp() + interval '1 h');
SELECT queue_drop('gone');
SELECT outcome FROM task_cancel(:t);
SELECT queue_drop('gone');
SELECT c.outcome FROM task_get_by_key('gone', 'scheduled') t, task_cancel(t.task_id) c;
SELECT outcome, task_id AS t FROM task_create('gone', '3', key => 'running') \gset
SELECT lease_token AS l FROM task_acquire_lease('gone', 'w') \gset
SELECT queue_drop('gone');
SELECT outcome FROM task_finalize(:t, :l, 'completed', '"kept"');
SELECT DISTINCT run_id AS run FROM task_create_items('r', 'g', '{0}'::jsonb[], successor => 'after', successor_queue => 'gone') \gset
SELECT queue_drop('gone');
SELECT c.outcome FROM task_items(:run, 'g') i, task_cancel(i.task_id) c;
SELECT queue_drop('gone');
SELECT c.outcome FROM task_list(run_id => :run, name => 'after') i, task_cancel(i.task_id) c;
SELECT run_id AS flow FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "r"}, {"name": "b", "queue": "gone", "needs": ["a"]}]}') \gset
SELECT queue_drop('gone');
SELECT outcome FROM workflow_cancel(:flow);
SELECT queue_alter('r', on_final_queue => 'gone', on_final_states => '{failed}');
SELECT queue_drop('gone');
SELECT queue_alter('r', on_final_queue => '');
SELECT queue_alter('gone', on_final_queue => 'gone');
SELECT queue_drop('default');
SELECT state FROM task_create('gone', key => 'before the drop is rolled back') \gset
BEGIN;
SELECT c.outcome FROM task_get_by_key('gone', 'before the drop is rolled back') t, task_cancel(t.task_id) c;
SAVEPOINT s;
SELECT queue_drop('gone');
ROLLBACK TO s;
SELECT queue_alter('gone', on_final_queue => '');
SELECT c.outcome FROM task_list('gone', '{ready}') t, task_cancel(t.task_id) c;
SELECT queue_drop('gone');
SELECT * FROM stats('gone');
ROLLBACK;
SELECT * FROM stats('gone');
-- A queue that tells of its ends itself may go; paused or not.
SELECT c.outcome FROM task_list('gone', '{ready}') t, task_cancel(t.task_id) c;
SELECT c.outcome FROM task_list('gone', '{ready}') t, task_cancel(t.task_id) c;
SELECT queue_pause('gone');
SELECT queue_drop('gone');

-- What would be undone in it keeps it, too: of a run by its definition and its ledger, of a task by its own; and what is being undone there.
SELECT queue_create('undo', max_attempts => 1);
CREATE FUNCTION ends(of_run bigint, of_step text, ended text) RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome FROM task_list(run_id => of_run, name => of_step) t, task_acquire_lease_by_id(t.task_id, 'w') l, task_finalize(t.task_id, l.lease_token, ended) f $$;
SELECT run_id AS flow FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "r", "compensate": {"queue": "undo"}}, {"name": "b", "queue": "r", "needs": ["a"]}]}') \gset
SELECT queue_drop('undo');
SELECT ends(:flow, 'a', 'completed');
SELECT queue_drop('undo');
SELECT ends(:flow, 'b', 'failed');
SELECT queue_drop('undo');
SELECT f.outcome FROM task_acquire_lease('undo', 'w') l, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT state FROM workflow_get(:flow);
SELECT task_id AS u FROM task_create('r') \gset
SELECT lease_token AS m FROM task_acquire_lease_by_id(:u, 'w') \gset
SELECT outcome FROM generate_series(1, 2) n, task_register_compensation(:u, :m, 'undo ' || n, 'undo');
SELECT queue_drop('undo');
SELECT outcome FROM task_finalize(:u, :m, 'failed');
SELECT queue_drop('undo');
-- A paused queue gives nobody what undoes something, either.
SELECT queue_pause('undo');
SELECT count(*) FROM task_acquire_lease('undo', 'w');
SELECT a.outcome, a.state FROM task_list('undo', '{ready}') t, task_acquire_lease_by_id(t.task_id, 'w') a;
SELECT queue_resume('undo');
SELECT f.outcome FROM task_acquire_lease('undo', 'w') l, task_finalize(l.task_id, l.lease_token, 'failed') f;
-- What was given up is left undone: nobody waits for the queue.
SELECT state FROM task_get(:u);
SELECT compensation_no, name, state FROM task_compensations(:u);
SELECT queue_drop('undo');
SELECT compensation_no, name, state FROM task_compensations(:u);
SELECT * FROM task_register_compensation(:u, :m, 'undo', 'undo');

-- A dropped queue is none, for whoever names it.
SELECT * FROM stats('gone');
SELECT queue_drop('gone');
SELECT * FROM task_create('gone');
SELECT * FROM task_create('gone', '1', key => 'ready');
SELECT * FROM task_create_many('gone', '{1}');
SELECT * FROM task_create_items('gone', 'g', '{1}'::jsonb[]);
SELECT * FROM task_create_items('r', 'h', '{1}'::jsonb[], successor => 's', successor_queue => 'gone');
SELECT * FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "r"}, {"name": "b", "queue": "gone", "needs": ["a"]}]}');
SELECT * FROM task_acquire_lease('gone', 'w');
SELECT * FROM task_reap(queue => 'gone');
SELECT * FROM task_dispatch_successor(:t, 's', 'gone');
SELECT queue_alter('gone', max_attempts => 2);
SELECT queue_alter('r', on_final_queue => 'gone');
SELECT queue_create('x', on_final_queue => 'gone');
SELECT queue_pause('gone');
SELECT queue_resume('gone');
SELECT * FROM queue_redrive('gone');
SELECT count(*) FROM task_reap();
-- Its finished tasks are read by id, by key, in lists; by id they are answered as before.
SELECT queue, key, state, result FROM task_get(:t);
SELECT key, state FROM task_get_by_key('gone', 'running');
SELECT key, state FROM task_list('gone', '{completed,cancelled}') WHERE name IS NULL ORDER BY task_id;
SELECT seq, kind FROM task_events(:t);
SELECT outcome FROM task_finalize(:t, :l, 'completed', '"kept"');
SELECT outcome FROM task_cancel(:t);
SELECT outcome FROM task_acquire_lease_by_id(:t, 'w');
SELECT outcome FROM task_append_event(:t, 'late');

-- Created again: new settings, not paused, telling nobody; the old tasks, and their keys taken.
SELECT queue_create('gone', max_attempts => 2);
SELECT lease_ttl, max_attempts, max_runtime, on_lost, on_final_queue_id, on_final_states, created_at > (SELECT finalized_at FROM task_get(:t)) AS new FROM baton.queue WHERE name = 'gone';
SELECT * FROM stats('gone');
SELECT outcome, task_id = :t AS same FROM task_create('gone', '3', key => 'running');
SELECT outcome, task_id = :t AS same FROM task_create('gone', '33', key => 'running');
SELECT outcome FROM task_create('gone', key => 'fresh', priority => 4);
SELECT outcome FROM task_create('gone', key => 'fresh, too', priority => -9);
SELECT key, a.attempt, g.max_attempts FROM task_acquire_lease('gone', 'w', max_tasks => 10) a JOIN LATERAL (SELECT max_attempts FROM task_get(a.task_id)) g ON true;
SELECT count(f.outcome) FROM task_list('gone', '{running}') t, task_finalize(t.task_id, t.lease_token, 'failed') f;
SELECT count(*) FROM task_list('gone', '{ready}');
SELECT queue_create('gone');
-- Dropped and created in one transaction; dropped again and again.
BEGIN;
SELECT queue_drop('gone');
SELECT queue_create('gone', on_final_queue => 'then');
SELECT outcome FROM task_create('gone', key => 'in between');
COMMIT;
SELECT c.outcome FROM task_get_by_key('gone', 'in between') t, task_cancel(t.task_id) c;
SELECT queue_drop('then');
SELECT queue_drop('gone');
SELECT name, state FROM task_list('then', '{ready}');
SELECT count(c.outcome) FROM task_list('then', '{ready,running}') t, task_cancel(t.task_id, force => true) c;
SELECT queue_drop('then');
SELECT name FROM baton.queue WHERE dropped_at IS NOT NULL ORDER BY name;
SELECT queue FROM baton.queue_stats ORDER BY queue;

-- Errors.
SELECT queue_pause(NULL);
SELECT queue_resume(NULL);
SELECT queue_drop(NULL);
SELECT queue_pause('nowhere');
SELECT queue_resume('nowhere');
SELECT queue_drop('nowhere');
SELECT queue_pause('');
SELECT queue_resume('');
SELECT queue_drop(repeat('q', 256));

SELECT * FROM baton_check(true);
