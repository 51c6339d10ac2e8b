-- What becomes of a task whose worker is gone: on_lost with and without task_start, max_runtime, and task_reap_owner.

SELECT queue_create('requeue', max_lost_leases => 2);
SELECT queue_create('unstarted', on_lost => 'requeue_unstarted', max_lost_leases => 2);
SELECT queue_create('fail', on_lost => 'fail', max_lost_leases => 2);
-- How a task stands, and its tape.
CREATE FUNCTION stands(id bigint) RETURNS TABLE (queue text, state text, reason text, attempt int, lost_leases int, owner text, error jsonb, tape text) LANGUAGE sql AS $$
    SELECT queue, state, reason, attempt, lost_leases, owner, error, (SELECT string_agg(kind, ' ' ORDER BY seq) FROM task_events(id)) FROM task_get(id) $$;

-- Each form, before and after task_start; a lease that a heartbeat extends is not lost.
SELECT outcome FROM unnest(ARRAY['requeue', 'unstarted', 'fail']) q, unnest(ARRAY['dispatched', 'begun', 'alive']) key, task_create(q, key => key);
SELECT t.queue, t.key, a.outcome FROM task_list(states => '{ready}') t, task_acquire_lease_by_id(t.task_id, 'w', '250 ms') a ORDER BY t.task_id;
SELECT s.outcome, count(*) FROM task_list(owner => 'w') t, task_start(t.task_id, t.lease_token, '100 ms') s WHERE key = 'begun' GROUP BY 1;
SELECT h.outcome, count(*) FROM task_list(owner => 'w') t, task_heartbeat(t.task_id, t.lease_token, '1 min') h WHERE key = 'alive' GROUP BY 1;
SELECT pg_sleep(0.28);
SELECT queue, key, outcome FROM task_reap() r JOIN task_list() t USING (task_id) ORDER BY t.task_id;
SELECT key, s.* FROM task_list() t, stands(t.task_id) s ORDER BY key, t.task_id;
-- A second lease begins unstarted again.
SELECT s.outcome FROM task_acquire_lease('unstarted', 'w', '100 ms') l, task_release(l.task_id, l.lease_token) s;
SELECT s.outcome FROM task_acquire_lease('unstarted', 'w', '200 ms') l, task_start(l.task_id, l.lease_token, '100 ms') s;
SELECT r.outcome FROM task_list('unstarted', '{running}') l, task_release(l.task_id, l.lease_token) r WHERE key = 'dispatched';
SELECT count(*) FROM task_acquire_lease('unstarted', 'w', '100 ms');
SELECT started_at FROM task_get_by_key('unstarted', 'dispatched');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT s.* FROM task_get_by_key('unstarted', 'dispatched') t, stands(t.task_id) s;

-- unless_started: given back only if nothing has begun.
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('unstarted', 'w') \gset
SELECT outcome, run_at IS NOT NULL AS run_at FROM task_release(:t, :l, unless_started => true);
SELECT lease_token AS l FROM task_acquire_lease('unstarted', 'w') \gset
SELECT outcome FROM task_start(:t, :l);
SELECT outcome, run_at IS NOT NULL AS run_at FROM task_release(:t, :l, unless_started => true);
SELECT outcome FROM task_release(:t, :l, '1 h', true);
SELECT state, owner, started_at IS NOT NULL AS started FROM task_get(:t);
SELECT outcome FROM task_release(:t, :l);
SELECT s.* FROM stands(:t) s;
-- What was asked to be cancelled is, begun or not.
SELECT lease_token AS l FROM task_acquire_lease('unstarted', 'w') \gset
SELECT outcome FROM task_start(:t, :l);
SELECT outcome FROM task_cancel(:t, 'asked');
SELECT outcome FROM task_release(:t, :l, unless_started => true);
SELECT outcome FROM task_release(:t, :l, unless_started => true);
SELECT outcome FROM task_release(:t, 0, unless_started => true);
SELECT outcome FROM task_release(0, :l, unless_started => true);

-- max_runtime: the attempt fails, no lease is lost; the last one ends the task with timed_out.
SELECT queue_create('slow', max_runtime => '250 ms', max_attempts => 2, max_lost_leases => 1, backoff_base => '0');
SELECT task_id AS t FROM task_create('slow') \gset
SELECT lease_token AS l FROM task_acquire_lease('slow', 'w', '1 h') \gset
SELECT lease_expires_at = leased_at + interval '250 ms' AS bounded FROM task_get(:t);
SELECT outcome FROM task_heartbeat(:t, :l, '1 h');
SELECT pg_sleep(0.28);
SELECT outcome FROM task_reap();
SELECT s.* FROM stands(:t) s;
SELECT kind, body - 'run_at' AS body, lease_token FROM task_events(:t) WHERE kind = 'retry_scheduled';
SELECT attempt FROM task_acquire_lease('slow', 'w', '1 h');
SELECT pg_sleep(0.28);
SELECT count(*) FROM task_acquire_lease('slow', 'w', '1 h');
SELECT s.* FROM stands(:t) s;
-- A lease that ends before max_runtime is lost; a max_runtime that is taken away bounds no new one.
SELECT task_id AS t FROM task_create('slow') \gset
SELECT queue_alter('slow', max_runtime => '10 min', max_lost_leases => 2);
SELECT count(*) FROM task_acquire_lease('slow', 'w', '100 ms');
SELECT pg_sleep(0.12);
SELECT outcome FROM task_reap();
SELECT s.* FROM stands(:t) s;
SELECT attempt, lost_leases FROM task_acquire_lease('slow', 'w', '1 h');
SELECT lease_token AS l FROM task_get(:t) \gset
SELECT lease_expires_at = leased_at + interval '10 min' AS bounded FROM task_get(:t);
SELECT queue_alter('slow', max_runtime => '0');
SELECT outcome FROM task_heartbeat(:t, :l, '2 h');
SELECT lease_expires_at > leased_at + interval '1 h' AS unbounded FROM task_get(:t);
SELECT outcome FROM task_finalize(:t, :l, 'completed');

-- task_reap_owner: the leases of a dead owner, expired or not, by the queue's on_lost.
SELECT outcome, count(*) FROM unnest(ARRAY['requeue', 'unstarted', 'fail']) q, unnest(ARRAY['idle', 'busy', 'expired']) key, task_create(q, key => key) GROUP BY outcome;
SELECT a.outcome, count(*) FROM task_list(states => '{ready}') t, task_acquire_lease_by_id(t.task_id, 'node 7', CASE key WHEN 'expired' THEN interval '100 ms' ELSE '1 h' END) a WHERE t.key IN ('idle', 'busy', 'expired') GROUP BY 1;
SELECT s.outcome, count(*) FROM task_list(owner => 'node 7') t, task_start(t.task_id, t.lease_token) s WHERE key = 'busy' GROUP BY 1;
SELECT lease_token AS other FROM task_create('requeue', key => 'other owner') c, task_acquire_lease_by_id(c.task_id, 'node 77', '1 h') \gset
SELECT max(lease_token) AS seen FROM task_list(owner => 'node 7') \gset
SELECT pg_sleep(0.12);
-- Nobody of that name, or no such token: nothing.
SELECT * FROM task_reap_owner('node', :seen);
SELECT * FROM task_reap_owner('node 7', 0);
SELECT * FROM task_reap_owner('node 7', -1);
SELECT * FROM task_reap_owner('Node 7', 9223372036854775807);
SELECT key, queue, outcome FROM task_reap_owner('node 7', :seen) r JOIN task_list() t USING (task_id) ORDER BY key, t.task_id;
SELECT key, s.* FROM task_list() t, stands(t.task_id) s WHERE key IN ('idle', 'busy', 'expired', 'other owner') ORDER BY key, t.task_id;
SELECT seq, kind, body FROM task_get_by_key('fail', 'busy') t, task_events(t.task_id);
-- Again: nothing is left.
SELECT * FROM task_reap_owner('node 7', :seen);
-- Its worker, if it lives, is told.
SELECT f.outcome, f.state FROM task_get_by_key('fail', 'busy') t, task_finalize(t.task_id, :seen, 'completed') f;

-- up_to_token: what the owner has leased since, when it came back under the same name, is not touched.
SELECT queue_create('fence', max_lost_leases => 1);
SELECT outcome FROM unnest(ARRAY['before', 'seen', 'after']) key, task_create('fence', key => key);
SELECT key, lease_token > 0 AS token FROM task_acquire_lease('fence', 'node 8', '1 h', 2);
SELECT max(lease_token) AS seen FROM baton.leases WHERE owner = 'node 8' \gset
SELECT key, lease_token > :seen AS greater FROM task_acquire_lease('fence', 'node 8', '1 h', 2);
SELECT t.key, outcome FROM task_reap_owner('node 8', :seen - 1) r JOIN task_list('fence') t USING (task_id);
SELECT t.key, outcome FROM task_reap_owner('node 8', :seen, 'node 8 has gone') r JOIN task_list('fence') t USING (task_id);
SELECT * FROM task_reap_owner('node 8', :seen);
SELECT key, s.* FROM task_list('fence') t, stands(t.task_id) s ORDER BY t.task_id;
SELECT h.outcome FROM task_get_by_key('fence', 'after') t, task_heartbeat(t.task_id, t.lease_token, '2 h') h;

-- reason: of the tasks that end; who was asked to cancel keeps the canceller's, or 'cancelled'.
SELECT queue_create('reasons', on_lost => 'fail');
SELECT outcome FROM unnest(ARRAY['fails', 'cancelled', 'cancelled with a reason']) key, task_create('reasons', key => key);
SELECT count(*) FROM task_acquire_lease('reasons', 'node 9', '1 h', 3);
SELECT c.outcome FROM unnest(ARRAY['cancelled', 'cancelled with a reason']) WITH ORDINALITY k (key, n), task_get_by_key('reasons', key) t, task_cancel(t.task_id, CASE n WHEN 2 THEN 'asked' END) c;
SELECT outcome FROM task_reap_owner(owner => 'node 9', up_to_token => 9007199254740991, reason => 'node 9 is gone', max_tasks => 10) ORDER BY 1;
SELECT key, state, reason FROM task_list('reasons') ORDER BY key;
SELECT key, kind, e.body FROM task_list('reasons') t, task_events(t.task_id) e WHERE seq > 1 ORDER BY key, seq;
-- What is requeued has none.
SELECT reason, state FROM task_get_by_key('requeue', 'idle');

-- An unexpired lease that was granted up to max_runtime has not timed out; one that has expired there did.
SELECT queue_create('bounded', max_runtime => '100 ms', max_attempts => 1, max_lost_leases => 1);
SELECT outcome FROM unnest(ARRAY['timed out', 'dead']) key, task_create('bounded', key => key);
SELECT a.outcome FROM task_get_by_key('bounded', 'timed out') t, task_acquire_lease_by_id(t.task_id, 'node 10', '1 h') a;
SELECT pg_sleep(0.12);
SELECT queue_alter('bounded', max_runtime => '1 min');
SELECT a.outcome FROM task_get_by_key('bounded', 'dead') t, task_acquire_lease_by_id(t.task_id, 'node 10', '1 h') a;
SELECT lease_expires_at - leased_at AS ttl FROM task_get_by_key('bounded', 'dead');
SELECT queue_alter('bounded', max_runtime => '100 ms');
SELECT t.key, outcome FROM task_reap_owner('node 10', 9007199254740991) r JOIN task_list('bounded') t USING (task_id) ORDER BY t.task_id;
SELECT key, s.* FROM task_list('bounded') t, stands(t.task_id) s ORDER BY t.task_id;
-- The same with attempts left, and with a reason.
SELECT queue_alter('bounded', max_runtime => '1 min', max_attempts => 3, max_lost_leases => 3);
SELECT count(*) FROM task_create_many('bounded', '{1,2}');
SELECT count(*) FROM task_acquire_lease('bounded', 'node 10', '1 h');
SELECT outcome FROM task_reap_owner('node 10', 9007199254740991, 'gone');
SELECT DISTINCT s.* FROM task_list('bounded', '{ready}') t, stands(t.task_id) s ORDER BY lost_leases;

-- max_tasks: so many at a time, those of the lowest id first.
SELECT queue_create('many', on_lost => 'fail');
SELECT count(*) FROM task_create_many('many', array_fill('{}'::jsonb, ARRAY[5]));
SELECT count(*) FROM task_acquire_lease('many', 'node 11', '1 h', 5);
SELECT count(*) FROM task_reap_owner('node 11', 9007199254740991, max_tasks => 2);
SELECT state FROM task_list('many') ORDER BY task_id;
SELECT count(*) FROM task_reap_owner('node 11', 9007199254740991, NULL, 2);
SELECT count(*) FROM task_reap_owner('node 11', 9007199254740991, NULL, 2);
SELECT count(*) FROM task_reap_owner('node 11', 9007199254740991, NULL, 2);

-- A group goes on: the next in line gets the slot, and the last loss ends it.
SELECT queue_create('items', max_lost_leases => 1);
SELECT DISTINCT run_id AS run FROM task_create_items('items', 'g', '{0,1}'::jsonb[], max_parallel => 1, successor => 'after') \gset
SELECT item_index FROM task_acquire_lease('items', 'node 12', '1 h');
SELECT outcome FROM task_reap_owner('node 12', 9007199254740991);
SELECT item_index, state FROM task_items(:run, 'g');
SELECT item_index FROM task_acquire_lease('items', 'node 12', '1 h');
SELECT outcome FROM task_reap_owner('node 12', 9007199254740991);
SELECT name FROM task_acquire_lease('items', 'w');
-- It is undone whole.
BEGIN;
SELECT t.owner, outcome FROM baton.leases t, task_reap_owner(t.owner, t.lease_token) WHERE key = 'after';
ROLLBACK;
SELECT state, owner FROM task_get_by_key('fence', 'after');

-- Errors.
SELECT * FROM task_reap_owner(NULL, 1);
SELECT * FROM task_reap_owner('w', NULL);
SELECT * FROM task_reap_owner('w', 1, max_tasks => NULL);
SELECT * FROM task_reap_owner('', 1);
SELECT * FROM task_reap_owner(repeat('w', 256), 1);
SELECT * FROM task_reap_owner('w', 1, '');
SELECT * FROM task_reap_owner('w', 1, repeat('r', 256));
SELECT * FROM task_reap_owner('w', 1, max_tasks => 0);
SELECT * FROM task_reap_owner('w', 1, max_tasks => 1001);
SELECT count(*) FROM task_reap_owner('w', 0, repeat('r', 255), 1000);

SELECT * FROM baton_check(true);
