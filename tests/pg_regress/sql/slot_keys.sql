-- slot_keys of tasks: one slot of each, all or none, from `ready` until the task has ended, is scheduled or blocked. Whoever gives a slot back hands it to the next in line, in the same call.

SELECT queue_create('q', lease_ttl => '1 h', max_attempts => 3, max_lost_leases => 2);
SELECT queue_create('r', lease_ttl => '1 h', on_lost => 'fail');
CREATE FUNCTION new(who text, keys text[], priority int = 0, queue text = 'q', run_at timestamptz = NULL) RETURNS text LANGUAGE sql AS $$
    SELECT state FROM task_create(queue, name => who, priority => priority, slot_keys => keys, run_at => run_at)
$$;
CREATE FUNCTION names(tasks bigint[]) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT string_agg(t.name, ', ' ORDER BY n) FROM unnest(tasks) WITH ORDINALITY d (task_id, n), task_get(d.task_id) t), 'nobody')
$$;
CREATE FUNCTION lease(queue text = 'q') RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(name, ', ' ORDER BY n) FROM task_acquire_lease(queue, 'w', max_tasks => 100) WITH ORDINALITY l (task_id, lease_token, e, a, ll, name, k, p, r, i, m, n)
$$;
-- Ends a leased task; who was handed what it held.
CREATE FUNCTION done(who text, ended text = 'completed') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome || ', then ' || names(f.dispatched) FROM baton.leases l, task_finalize(l.task_id, l.lease_token, ended) f WHERE l.name = who
$$;
CREATE FUNCTION tasks() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(name || ' ' || state, ', ' ORDER BY task_id) FROM task_list(states => '{scheduled,blocked,ready,running,compensating}', max_tasks => 1000)
$$;
-- Who holds a slot of which key, and how many are free.
CREATE FUNCTION slots() RETURNS TABLE (slot_key text, held_by text, free bigint) LANGUAGE sql AS $$
    SELECT k.name, string_agg(t.name, ', ' ORDER BY t.task_id), count(*) FILTER (WHERE s.free_seq IS NOT NULL)
    FROM baton.slot_key k LEFT JOIN baton.slot s USING (slot_key) LEFT JOIN baton.task t ON t.task_id = s.holder WHERE k.name IS NOT NULL GROUP BY k.name ORDER BY k.name
$$;
-- Leases one task, and sleeps through the end of its lease.
CREATE FUNCTION lose(queue text = 'q') RETURNS text LANGUAGE plpgsql AS $$
DECLARE lost text;
BEGIN
    SELECT name INTO lost FROM task_acquire_lease(queue, 'w', '100 ms');
    PERFORM pg_sleep(0.12);
    RETURN lost;
END $$;
-- Ends all there is; nothing is held then.
CREATE FUNCTION clear() RETURNS TABLE (held bigint, live bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM task_cancel(task_id, force => true) FROM task_list(states => '{scheduled,blocked,ready,running}', max_tasks => 1000);
    RETURN QUERY SELECT (SELECT count(*) FROM baton.slot WHERE holder IS NOT NULL), (SELECT count(*) FROM baton.task_live);
END $$;
SELECT slot_set('a', 1), slot_set('b', 1), slot_set('c', 2);

-- One key, one slot: it is held from `ready` on, not from the lease.
SELECT new('one', '{a}'), new('two', '{a}'), new('three', '{a}'), new('without', NULL);
SELECT tasks();
SELECT name, slot_keys FROM task_list('q') ORDER BY task_id;
SELECT g.slot_keys FROM task_list('q', name => 'two') l, task_get(l.task_id) g;
SELECT lease();
SELECT lease();
SELECT done('without');
SELECT done('one');
SELECT tasks();
SELECT * FROM slots();
SELECT lease();
SELECT done('two', 'failed'), lease(), done('three', 'quarantined');
SELECT * FROM slots();
SELECT * FROM baton_check(true);

-- All or none: a task that waits for one key holds no slot of another, and stands in nobody's way there.
SELECT new('b', '{b}'), new('a and b', '{a,b}'), new('a', '{a}'), new('a, too', '{a}');
SELECT * FROM slots();
SELECT lease();
-- It waited for b, and a is held now: so it waits for a, and b is free for who needs no more.
SELECT done('b');
SELECT * FROM slots();
SELECT new('b again', '{b}');
SELECT tasks();
-- It is older than who waits for a; b is held, and so it is passed over, without a slot.
SELECT done('a');
SELECT * FROM slots();
SELECT new('b, younger', '{b}'), lease();
-- It kept its age: it is handed b before the younger one, lacks a again, and lets it pass.
SELECT done('b again');
SELECT * FROM slots();
SELECT done('a, too');
SELECT tasks(), lease();
SELECT done('b, younger');
SELECT * FROM slots();
SELECT lease(), done('a and b');
SELECT * FROM slots();
SELECT * FROM baton_check(true);
-- Whoever moves from line to line is served by its age when all it needs is free.
SELECT new('holds a', '{a}'), new('holds b', '{b}'), new('first', '{a,b}'), new('second', '{b}'), new('third', '{b,a}'), new('fourth', '{a}'), lease();
SELECT done('holds a');
SELECT * FROM slots();
SELECT lease(), done('fourth');
SELECT done('holds b');
SELECT * FROM slots();
SELECT lease(), done('first');
SELECT * FROM slots();
SELECT lease(), done('second'), lease(), done('third');
SELECT * FROM slots() WHERE slot_key IN ('a', 'b');
SELECT * FROM baton_check(true);

-- Eight keys are as many as there may be; in any order, each once. Others that need one of them wait.
SELECT slot_set('k' || i, 1) FROM generate_series(1, 8) i;
SELECT new('eight', '{k8,k1,k7,k2,k6,k3,k5,k4}'), new('one of them', '{k5}'), new('all again', '{k1,k2,k3,k4,k5,k6,k7,k8}'), new('two of them', '{k1,k8}');
SELECT name, state, slot_keys FROM task_list('q', states => '{blocked,ready}') ORDER BY task_id;
SELECT lease(), done('eight');
SELECT tasks();
SELECT lease(), done('one of them'), done('two of them'), lease(), done('all again');
SELECT sum(free) FROM slots() WHERE slot_key LIKE 'k%';
SELECT new('nine', '{a,b,c,k1,k2,k3,k4,k5,k6}');
SELECT new('twice', '{a,b,a}');
SELECT new('NULL', '{a,NULL}');
SELECT new('empty', '{a,""}');
SELECT new('no such key', '{a,nowhere}');
SELECT new('none', '{}');
SELECT * FROM slots() WHERE slot_key IN ('a', 'b');
SELECT done('none') FROM lease();

-- In line: the highest priority first, then the oldest, over all queues.
SELECT new('holder', '{a}'), new('low', '{a}', -9), new('middle', '{a}'), new('high', '{a}', 9), new('of r', '{a}', 9, 'r'), new('middle, too', '{a}'), lease();
SELECT done('holder'), lease();
SELECT done('high'), lease('r');
SELECT done('of r'), lease();
SELECT new('late and high', '{a}', 3);
SELECT done('middle'), lease();
SELECT done('late and high'), lease();
SELECT done('middle, too'), lease(), done('low');
-- Made in one call: in the order of the array. What is made for later holds nothing.
SELECT ordinal, outcome FROM task_create_many('q', '{1,2,3}', name => 'many', slot_keys => '{a,c}');
SELECT payload, state FROM task_list('q', name => 'many') l, LATERAL (SELECT payload FROM task_get(l.task_id)) g ORDER BY l.task_id;
SELECT payload FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT (SELECT string_agg(payload::text, ',') FROM unnest(dispatched) d, task_get(d)) AS dispatched FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed');
SELECT ordinal, outcome FROM task_create_many('q', '{1,2}', name => 'later', slot_keys => '{a,c}', run_at => clock_timestamp() + '1 h');
SELECT * FROM slots() WHERE slot_key IN ('a', 'c');
SELECT ordinal, outcome FROM task_create_many('q', '{1,2}', slot_keys => '{nowhere}');
SELECT * FROM clear();
SELECT * FROM baton_check(true);

-- A key of a task that is taken: no second slot is.
SELECT outcome, state FROM task_create('q', '1', name => 'keyed', key => 'x', slot_keys => '{c}');
SELECT outcome, state FROM task_create('q', '1', name => 'keyed', key => 'x', slot_keys => '{c}');
SELECT outcome, state FROM task_create('q', '2', name => 'keyed', key => 'x', slot_keys => '{c,a}');
SELECT * FROM slots() WHERE slot_key IN ('a', 'c');
SELECT ordinal, outcome FROM task_create_many('q', '{1,2,3,3}', name => 'keyed, many', keys => '{x,x,y,y}', slot_keys => '{c}');
SELECT * FROM slots() WHERE slot_key IN ('a', 'c');
SELECT outcome, state FROM task_create('q', '1', key => 'x', slot_keys => '{nowhere}');
SELECT * FROM clear();

-- Undone with its transaction or its savepoint: then the slot is free again, and who comes next in the same transaction gets it.
BEGIN;
SELECT new('gone', '{a,b}');
ROLLBACK;
SELECT * FROM slots() WHERE slot_key IN ('a', 'b');
BEGIN;
SAVEPOINT s;
SELECT new('gone', '{a,b}'), new('gone, too', '{a}');
ROLLBACK TO SAVEPOINT s;
SELECT new('stays', '{a}'), new('waits', '{a}');
SAVEPOINT s;
SELECT lease(), done('stays');
ROLLBACK TO SAVEPOINT s;
COMMIT;
SELECT * FROM slots() WHERE slot_key IN ('a', 'b');
SELECT tasks(), lease();
DO $$ BEGIN
    PERFORM done('stays');
    RAISE EXCEPTION 'undone';
EXCEPTION WHEN OTHERS THEN NULL;
END $$;
SELECT tasks();
SELECT done('stays'), lease();
SELECT * FROM slots() WHERE slot_key IN ('a', 'b');
SELECT * FROM clear();
SELECT * FROM baton_check(true);

-- Failed attempts: tried again at once, it keeps its slot; after a while, it gives it to the next, and gets in line again when its time comes.
SELECT new('tried', '{a}'), new('next', '{a}'), new('last', '{a}'), lease();
SELECT f.outcome, f.state FROM baton.leases l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '0') f;
SELECT tasks(), lease();
SELECT f.outcome, f.state FROM baton.leases l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '50 ms') f;
SELECT tasks(), lease();
SELECT pg_sleep(0.06), lease();
SELECT tasks();
-- It takes its place when its time has come: behind who waits already.
SELECT done('next'), lease(), done('last'), lease();
-- Attempts used up: it has ended, and the next has its slot.
SELECT new('next', '{a}');
SELECT f.outcome, f.state FROM baton.leases l, task_fail_attempt(l.task_id, l.lease_token) f;
SELECT tasks();
SELECT * FROM baton_check(true);

-- Given back: at once, it keeps its slot and gets in line for a lease; with a delay it hands it on.
SELECT new('back', '{a}', -1), lease();
SELECT f.outcome FROM baton.leases l, task_release(l.task_id, l.lease_token) f;
SELECT tasks(), lease();
SELECT f.outcome FROM baton.leases l, task_release(l.task_id, l.lease_token, '1 h') f;
SELECT tasks(), lease();
SELECT done('back');
SELECT * FROM slots() WHERE slot_key = 'a';
-- Scheduled, it holds none; due and free, it takes one. By id, too.
SELECT r.outcome, r.state FROM task_list('q', name => 'next', states => '{scheduled}') l, task_acquire_lease_by_id(l.task_id, 'w') r;
SELECT * FROM clear();
SELECT new('due', '{a}', run_at => clock_timestamp() + '200 ms'), new('due, too', '{a}', run_at => clock_timestamp() + '200 ms'), pg_sleep(0.25);
SELECT tasks();
SELECT r.outcome, r.state FROM task_list('q', name => 'due, too') l, task_acquire_lease_by_id(l.task_id, 'w') r;
SELECT r.outcome, r.state FROM task_list('q', name => 'due', states => '{scheduled}') l, task_acquire_lease_by_id(l.task_id, 'w') r;
SELECT r.outcome, r.state FROM task_list('q', name => 'due', states => '{blocked}') l, task_acquire_lease_by_id(l.task_id, 'w') r;
SELECT tasks();
SELECT done('due, too');
SELECT r.outcome, r.state FROM task_list('q', name => 'due', states => '{ready}') l, task_acquire_lease_by_id(l.task_id, 'w') r;
SELECT done('due');
-- Of several that are due the oldest time comes first.
SELECT new('holder', '{a}'), new('second', '{a}', run_at => clock_timestamp() + '300 ms'), new('first', '{a}', run_at => clock_timestamp() + '200 ms'), lease(), pg_sleep(0.4);
SELECT outcome FROM task_reap();
SELECT tasks();
SELECT done('holder'), lease(), done('first');
SELECT * FROM clear();
SELECT * FROM baton_check(true);

-- Cancelled: one that waits leaves the line, one in line for a lease or (forced) a running one hands on its slot.
SELECT new('runs', '{a}'), lease(), new('waits', '{a}'), new('next', '{a}'), new('next, too', '{a}');
SELECT c.outcome, c.state FROM task_list(name => 'waits', states => '{blocked}') t, task_cancel(t.task_id) c;
SELECT tasks();
SELECT c.outcome, c.state FROM task_list(name => 'runs', states => '{running}') t, task_cancel(t.task_id) c;
SELECT tasks();
SELECT c.outcome, c.state FROM task_list(name => 'runs', states => '{running}') t, task_cancel(t.task_id, force => true) c;
SELECT tasks();
SELECT c.outcome, c.state FROM task_list(name => 'next', states => '{ready}') t, task_cancel(t.task_id) c;
SELECT tasks();
-- Asked to be cancelled, given back: it has ended, and the next has its slot.
SELECT lease(), new('next', '{a}');
SELECT c.outcome, c.state FROM task_list(name => 'next, too', states => '{running}') t, task_cancel(t.task_id) c;
SELECT f.outcome FROM baton.leases l, task_release(l.task_id, l.lease_token) f;
SELECT tasks();
SELECT * FROM clear();

-- Leases that run out: taken back and in line again, it keeps its slot; ended, the next has it. Whoever notices hands it on: a reap, ...
SELECT new('lost', '{a}'), new('next', '{a}');
SELECT lose('q');
SELECT outcome FROM task_reap();
SELECT tasks();
SELECT lose('q');
SELECT outcome FROM task_reap();
SELECT tasks(), lease();
-- ... an acquire (that grants it in the same call), ...
SELECT * FROM clear();
SELECT new('fails', '{a}', queue => 'r'), new('next', '{a}', queue => 'r'), new('next, too', '{a}', queue => 'q');
SELECT lose('r');
SELECT lose('r');
SELECT lease('r'), tasks();
SELECT state, reason FROM task_list('r', name => 'fails');
-- ... who takes its lease by id, and who knows that its owner is dead.
SELECT * FROM clear();
SELECT new('fails', '{a}', queue => 'r'), new('next', '{a}'), new('next, too', '{a}');
SELECT lose('r');
SELECT c.outcome, c.state FROM task_list('r', name => 'fails', states => '{running}') t, task_acquire_lease_by_id(t.task_id, 'other') c;
SELECT tasks();
SELECT lease_token AS token FROM task_acquire_lease('q', 'dead') \gset
SELECT outcome FROM task_reap_owner('dead', :token);
SELECT tasks();
SELECT lease_token AS token FROM task_acquire_lease('q', 'dead') \gset
SELECT outcome FROM task_reap_owner('dead', :token);
SELECT tasks();
SELECT * FROM clear();
-- max_runtime: the attempt is over, it is tried again later, and the next has its slot.
SELECT queue_create('short', max_runtime => '100 ms', backoff_base => '1 h', backoff_max => '1 h');
SELECT new('slow', '{a}', queue => 'short'), new('next', '{a}');
SELECT lose('short');
SELECT outcome FROM task_reap();
SELECT tasks();
SELECT * FROM clear();
SELECT * FROM baton_check(true);

-- Many at once: what they give back is handed on in one call, also to who needs several of them.
SELECT slot_set('a', 2);
SELECT new('1', '{a}'), new('2', '{a,b}'), lease(), new('3', '{b,a}'), new('4', '{a,b}'), new('5', '{a}');
SELECT f.outcome FROM (SELECT array_agg(task_id ORDER BY name) AS ids, array_agg(lease_token ORDER BY name) AS tokens FROM baton.leases) l, task_finalize_many(l.ids, l.tokens, '{completed,failed}') f;
SELECT tasks();
SELECT * FROM slots() WHERE slot_key IN ('a', 'b');
SELECT * FROM clear();
-- Redriven: with its keys, in line like any other; also many at a time.
SELECT slot_set('a', 1);
SELECT new('bad', '{a,c}'), lease(), done('bad', 'failed'), new('good', '{a}');
SELECT r.outcome FROM task_list('q', name => 'bad', states => '{failed}') t, task_redrive(t.task_id) r;
SELECT state, slot_keys FROM task_list('q', name => 'bad', states => '{blocked,ready}') WHERE redrive_of IS NOT NULL;
SELECT tasks();
SELECT lease(), done('good');
SELECT * FROM slots() WHERE slot_key IN ('a', 'c');
SELECT lease(), done('bad', 'quarantined');
SELECT new('worse', '{a}', -1), lease(), done('worse', 'failed');
SELECT count(*) FROM queue_redrive('q');
SELECT tasks();
SELECT * FROM slots() WHERE slot_key IN ('a', 'c');
SELECT lease();
SELECT * FROM clear();
SELECT * FROM baton_check(true);

-- A queue that is paused keeps what it has; tasks of others wait for it, and those in it are handed slots as before.
SELECT queue_pause('q');
SELECT new('in line', '{a}'), new('elsewhere', '{a}', queue => 'r'), new('behind', '{a}');
SELECT lease(), lease('r');
SELECT c.outcome FROM task_list(name => 'in line', states => '{ready}') t, task_cancel(t.task_id) c;
SELECT lease('r'), done('elsewhere');
SELECT tasks(), lease();
SELECT queue_resume('q');
SELECT lease();
SELECT queue_alter('q', max_attempts => 2, on_lost => 'fail');
SELECT * FROM slots() WHERE slot_key = 'a';
-- One with waiters cannot be dropped; later it can, and its key serves the others.
SELECT new('waits', '{a}', queue => 'r');
SELECT queue_drop('r');
SELECT c.outcome FROM task_list(name => 'waits', states => '{blocked}') t, task_cancel(t.task_id) c;
SELECT queue_drop('r');
SELECT new('after', '{a}'), done('behind'), lease();
SELECT * FROM clear();
SELECT count(*) FROM baton.due;
-- What has ended is purged, with its tape; the keys stay.
SELECT tasks > 50 AS some FROM baton_purge('0');
SELECT slot_key, holders, waiters FROM baton.slot_usage WHERE slot_key IN ('a', 'b', 'c') ORDER BY 1;
SELECT count(*) FROM task_list(max_tasks => 1000);
SELECT * FROM baton_check(true);

-- Beside on_final: one call hands on the slot and tells of the end.
SELECT queue_create('ends');
SELECT queue_create('told', on_final_queue => 'ends', lease_ttl => '1 h');
SELECT new('first', '{a}', queue => 'told'), new('next', '{a}', queue => 'told'), lease('told');
SELECT dispatched AS ids FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') \gset
SELECT queue, name, state, slot_keys FROM unnest(:'ids'::bigint[]) d, task_get(d) ORDER BY 1 DESC;
-- The successor of a task holds none of its keys.
SELECT lease('told'), done('next');
SELECT d.outcome FROM task_list('told', name => 'next') t, task_dispatch_successor(t.task_id, 'after', 'q') d;
SELECT state, slot_keys FROM task_list('q', name => 'after');
SELECT lease(), done('after');
SELECT * FROM slots() WHERE slot_key = 'a';

-- REPEATABLE READ: what others have done since cannot be seen, so the call leaves the key to who looks next.
SELECT new('first', '{a}'), new('next', '{a}'), lease();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT done('first');
COMMIT;
SELECT lease(), done('next');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT new('third', '{a}'), new('fourth', '{a}');
SELECT lease(), done('third'), lease(), done('fourth');
COMMIT;
-- Where it was left, it is taken up by a reap (or an acquire); a queue that was dropped is left alone.
SELECT queue_create('other');
SELECT new('elsewhere', '{a}', queue => 'other'), lease('other');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT done('elsewhere');
COMMIT;
SELECT queue_drop('other');
SELECT outcome FROM task_reap();
SELECT queue_drop('other');
SELECT new('last', '{a}'), lease();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT done('last');
COMMIT;
SELECT outcome FROM task_reap();
SELECT count(*) FROM baton.due;
SELECT * FROM slots() WHERE slot_key = 'a';

-- A key that is full delays nobody else: 5,000 wait for it, and an acquire, a create and a finalize of a task with another key touch as many buffers as before.
SELECT slot_set('full', 1), slot_set('idle', 2);
SELECT queue_create('s', lease_ttl => '1 h');
CREATE FUNCTION buffers(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF, FORMAT JSON) ' || query INTO plan;
    RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END $$;
CREATE FUNCTION cycle() RETURNS bigint LANGUAGE sql AS $$
    SELECT buffers($q$SELECT * FROM task_create('s', name => 'idle', slot_keys => '{idle}')$q$) + buffers($q$SELECT * FROM task_acquire_lease('s', 'w')$q$)
         + buffers($q$SELECT f.* FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') f WHERE l.queue = 's' AND l.name = 'idle'$q$)
$$;
SELECT outcome, state FROM task_create('s', name => 'full', slot_keys => '{full}');
SELECT name FROM task_acquire_lease('s', 'w');
SELECT bool_and(cycle() > 0) FROM generate_series(1, 30);
SELECT min(b) AS before FROM (SELECT cycle() AS b FROM generate_series(1, 9)) c \gset
SELECT count(*) FROM task_create_many('s', array_fill('{}'::jsonb, ARRAY[5000]), name => 'full', slot_keys => '{full}');
SELECT bool_and(cycle() > 0) FROM generate_series(1, 30);
SELECT min(b) AS after FROM (SELECT cycle() AS b FROM generate_series(1, 9)) c \gset
SELECT :after < :before + 150 AS as_before;
SELECT slot_key, holders, waiters FROM baton.slot_usage WHERE slot_key IN ('full', 'idle') ORDER BY 1;
-- Nor does the length of the line tell on who hands on a slot of it.
SELECT buffers($q$SELECT f.* FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') f WHERE l.queue = 's' AND l.name = 'full'$q$) < :before + 150 AS as_before;
-- Nor do those who need both keep the idle one from anybody.
SELECT count(*) FROM task_create_many('s', array_fill('{}'::jsonb, ARRAY[150]), name => 'both', slot_keys => '{idle,full}');
SELECT outcome, state FROM task_create('s', name => 'idle', slot_keys => '{idle}');
SELECT name FROM task_acquire_lease('s', 'w', max_tasks => 100);
SELECT done('idle');
SELECT * FROM baton_check(true);
