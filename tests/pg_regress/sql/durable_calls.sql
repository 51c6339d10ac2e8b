-- Which calls wait for their flush when the caller does not: those that hand out a lease, begin or end what it is for,
-- or end a task or a run; and a dispatch.

-- What the call answered, and what synchronous_commit is after it, in the same transaction.
CREATE FUNCTION waits(call text) RETURNS TABLE (outcome text, synchronous_commit text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call INTO STRICT outcome;
    RETURN QUERY SELECT outcome, current_setting('synchronous_commit');
END $$;

SELECT queue_create('q');
SELECT queue_create('fragile', max_lost_leases => 1);
SELECT outcome FROM unnest(ARRAY['released', 'failed', 'ended', 'forced', 'queued', 'by id']) key, task_create('q', key => key);
SELECT outcome FROM unnest(ARRAY['released', 'failed', 'ended', 'forced']) key, task_get_by_key('q', key) t, task_acquire_lease_by_id(t.task_id, 'w');
SELECT outcome FROM unnest(ARRAY['taken over', 'reaped', 'orphan']) key, task_create('fragile', key => key);
SELECT a.outcome FROM unnest(ARRAY['taken over', 'reaped', 'orphan'], ARRAY['w', 'w', 'dead'], ARRAY['100 ms', '100 ms', '1 min']::interval[]) n (key, owner, ttl), task_get_by_key('fragile', key) t, task_acquire_lease_by_id(t.task_id, n.owner, ttl) a;
SELECT queue_create('runs');
CREATE FUNCTION flow() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"steps": [{"name": "a", "queue": "runs"}, {"name": "b", "queue": "runs", "needs": ["a"]}]}'::jsonb $$;
SELECT run_id AS waiting FROM workflow_start(definition => flow()) \gset
SELECT run_id AS leased FROM workflow_start(definition => flow()) \gset
SELECT outcome FROM task_list(run_id => :leased) t, task_acquire_lease_by_id(t.task_id, 'w');
SELECT run_id AS paused, workflow_pause(run_id, 'by hand') FROM workflow_start(definition => flow()) \gset
SELECT task_id AS item, run_id AS plain FROM task_create_items('runs', 'g', '{1}'::jsonb[]) \gset
-- What is undone: by its worker, its canceller, a reap, its run.
SELECT queue_create('undo');
SELECT queue_create('undone', max_attempts => 1, max_lost_leases => 1);
SELECT outcome FROM unnest(ARRAY['finalized', 'failed', 'cancelled', 'reaped']) key, task_create('undone', key => key);
SELECT l.outcome, r.outcome FROM unnest(ARRAY['finalized', 'failed', 'cancelled', 'reaped']) WITH ORDINALITY k (k, n), task_get_by_key('undone', k) t, task_acquire_lease_by_id(t.task_id, 'w', CASE k WHEN 'reaped' THEN interval '100 ms' END) l, task_register_compensation(t.task_id, l.lease_token, 'undo', 'undo') r ORDER BY n;
SELECT task_id AS undone_item, run_id AS undone_run FROM task_create_items('undone', 'g', '{1}'::jsonb[]) \gset
SELECT r.outcome, f.outcome FROM task_acquire_lease_by_id(:undone_item, 'w') l, task_register_compensation(:undone_item, l.lease_token, 'undo', 'undo') r, task_finalize(:undone_item, l.lease_token, 'completed') f;
SELECT pg_sleep(0.15);

\pset format unaligned
\pset tuples_only on
SET synchronous_commit = off;

SELECT * FROM waits($$SELECT outcome FROM task_create('q', key => 'new')$$);
SELECT * FROM waits($$SELECT h.outcome FROM task_get_by_key('q', 'ended') t, task_heartbeat(t.task_id, t.lease_token) h$$);
SELECT * FROM waits($$SELECT e.outcome FROM task_get_by_key('q', 'ended') t, task_append_event(t.task_id, 'note', '1', t.lease_token) e$$);
SELECT * FROM waits($$SELECT a.outcome FROM task_get_by_key('q', 'ended') t, task_annotate(t.task_id, '{"a": 1}') a$$);

SELECT * FROM waits($$SELECT 'acquired: ' || count(*) FROM task_acquire_lease('q', 'w', max_tasks => 1) HAVING count(*) = 1$$);
SELECT * FROM waits($$SELECT s.outcome FROM task_get_by_key('q', 'ended') t, task_start(t.task_id, t.lease_token) s$$);
SELECT * FROM waits($$SELECT r.outcome FROM task_get_by_key('q', 'released') t, task_release(t.task_id, t.lease_token, '1 h') r$$);
SELECT * FROM waits($$SELECT f.outcome FROM task_get_by_key('q', 'failed') t, task_fail_attempt(t.task_id, t.lease_token, retry_after => '1 h') f$$);
SELECT * FROM waits($$SELECT f.outcome FROM task_get_by_key('q', 'ended') t, task_finalize(t.task_id, t.lease_token, 'completed') f$$);
SELECT * FROM waits($$SELECT c.outcome FROM task_get_by_key('q', 'forced') t, task_cancel(t.task_id, force => true) c$$);
SELECT * FROM waits($$SELECT c.outcome FROM task_get_by_key('q', 'new') t, task_cancel(t.task_id) c$$);
SELECT * FROM waits($$SELECT a.outcome FROM task_get_by_key('q', 'by id') t, task_acquire_lease_by_id(t.task_id, 'w') a$$);
-- Nothing is acquired: the lease that ran out was the last that the queue allows to be lost.
SELECT * FROM waits($$SELECT a.outcome || ' ' || a.state FROM task_get_by_key('fragile', 'taken over') t, task_acquire_lease_by_id(t.task_id, 'other') a$$);
SELECT * FROM waits($$SELECT outcome FROM task_reap(queue => 'fragile')$$);
SELECT * FROM waits($$SELECT outcome FROM task_reap_owner('dead', 9007199254740991)$$);
SELECT * FROM waits($$SELECT d.outcome FROM task_get_by_key('q', 'ended') t, task_dispatch_successor(t.task_id, 'then', 'q') d$$);

SELECT * FROM waits($$SELECT 'version ' || workflow_define('flow', flow())$$);
SELECT * FROM waits($$SELECT outcome FROM workflow_start('flow')$$);
SELECT * FROM waits(format('SELECT workflow_annotate(%s, ''{"a": 1}'')', :waiting));
SELECT * FROM waits(format('SELECT outcome FROM workflow_append_event(%s, ''note'')', :waiting));
SELECT * FROM waits(format('SELECT workflow_pause(%s, ''by hand'')', :waiting));
SELECT * FROM waits(format('SELECT workflow_resume(%s, ''by hand'')', :waiting));
SELECT * FROM waits(format('SELECT outcome FROM workflow_cancel(%s)', :waiting));
SELECT * FROM waits(format('SELECT outcome FROM workflow_cancel(%s, running => ''leave'')', :leased));
SELECT * FROM waits(format('SELECT outcome FROM workflow_cancel(%s, running => ''force'')', :leased));
SELECT * FROM waits(format('SELECT outcome FROM workflow_cancel(%s)', :paused));
SELECT * FROM waits(format('SELECT workflow_finalize(%s, ''completed'')', :plain));
SELECT * FROM waits(format('SELECT outcome FROM task_cancel(%s)', :item));
SELECT * FROM waits(format('SELECT workflow_finalize(%s, ''completed'')', :plain));

-- What is registered or set is not acknowledged work: none of these waits. What ends a lease or a task does, also when its work is undone first.
SELECT * FROM waits($$SELECT slot_set('key', 1)::text || 'set'$$);
SELECT * FROM waits($$SELECT slot_set('key', 2)::text || 'set again'$$);
SELECT * FROM waits($$SELECT outcome FROM task_create('q', key => 'with slot', slot_keys => '{key}')$$);
SELECT * FROM waits($$SELECT r.outcome FROM task_get_by_key('undone', 'failed') t, task_register_compensation(t.task_id, t.lease_token, 'undo more', 'undo') r$$);
SELECT * FROM waits($$SELECT 'compensations: ' || count(*) FROM task_get_by_key('undone', 'failed') t, task_compensations(t.task_id)$$);
SELECT * FROM waits(format('SELECT ''compensations: '' || count(*) FROM workflow_compensations(%s)', :undone_run));
SELECT * FROM waits($$SELECT f.outcome FROM task_get_by_key('undone', 'finalized') t, task_finalize(t.task_id, t.lease_token, 'failed') f$$);
SELECT * FROM waits($$SELECT f.outcome FROM task_get_by_key('undone', 'failed') t, task_fail_attempt(t.task_id, t.lease_token) f$$);
SELECT * FROM waits($$SELECT c.outcome FROM task_get_by_key('undone', 'cancelled') t, task_cancel(t.task_id, force => true) c$$);
SELECT * FROM waits($$SELECT outcome FROM task_reap(queue => 'undone')$$);
SELECT * FROM waits(format('SELECT workflow_finalize(%s, ''failed'')', :undone_run));
SELECT * FROM waits($$SELECT 'acquired: ' || count(*) FROM task_acquire_lease('undo', 'w', max_tasks => 10)$$);
-- Each compensation ends, and with it what it undoes.
SELECT * FROM waits($$SELECT f.outcome FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') f WHERE l.queue = 'undo' LIMIT 1$$);

-- Only for as long as the transaction lasts.
SHOW synchronous_commit;
SELECT * FROM baton_check(true);
