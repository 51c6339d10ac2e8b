-- slot_set: how many tasks with a key may be at work at once. What is added goes to who waits, in the same call; what is taken away is taken from nobody.

SELECT queue_create('q', lease_ttl => '1 h', max_attempts => 5);
CREATE FUNCTION new(who text, keys text[] = '{k}', priority int = 0) RETURNS text LANGUAGE sql AS $$
    SELECT outcome || ', ' || state FROM task_create('q', name => who, priority => priority, slot_keys => keys)
$$;
-- Ends a leased task; who was handed what it held.
CREATE FUNCTION done(who text, ended text = 'completed') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome || ', then ' || coalesce((SELECT string_agg(t.name, ', ' ORDER BY n) FROM unnest(f.dispatched) WITH ORDINALITY d (task_id, n), task_get(d.task_id) t), 'nobody')
    FROM baton.leases l, task_finalize(l.task_id, l.lease_token, ended) f WHERE l.name = who
$$;
CREATE FUNCTION tasks() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(name || ' ' || state, ', ' ORDER BY task_id) FROM task_list(states => '{scheduled,blocked,ready,running}')
$$;
CREATE VIEW usage AS SELECT slot_key, capacity, holders, waiters, draining FROM baton.slot_usage;

-- A key is there from now on, with nobody in it. Set again to the same, nothing changes.
SELECT * FROM task_create('q', slot_keys => '{k}');
SELECT slot_set('k', 2);
SELECT * FROM usage;
SELECT slot_set('k', 2);
SELECT * FROM usage;
SELECT new('a'), new('b'), new('c'), new('d');
SELECT tasks();
SELECT slot_set('k', 2);
SELECT tasks();
SELECT * FROM usage;

-- Raised: who waits moves up in the same call, the highest priority first, then the oldest.
SELECT new('urgent', priority => 5), new('lazy', priority => -5), new('urgent, too', priority => 5);
SELECT slot_set('k', 3);
SELECT tasks();
SELECT slot_set('k', 5);
SELECT tasks();
SELECT * FROM usage;
-- By more than wait: the rest is free for who comes.
SELECT slot_set('k', 8);
SELECT tasks();
SELECT * FROM usage;
SELECT new('e'), new('f');
SELECT * FROM usage;
SELECT * FROM baton_check(true);

-- Lowered while it is held: it drains. Nobody loses a slot, and nobody gets one until fewer are held than the new capacity; what is given back goes away.
SELECT slot_set('k', 2);
SELECT * FROM usage;
SELECT tasks();
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT new('g');
SELECT done('a'), done('b'), done('c');
SELECT * FROM usage;
SELECT tasks();
SELECT * FROM baton_check(true);
-- Given back for an instant, it is kept; for a while, it goes.
SELECT r.outcome FROM baton.leases l, task_release(l.task_id, l.lease_token) r WHERE l.name = 'd';
SELECT * FROM usage;
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT r.outcome FROM baton.leases l, task_release(l.task_id, l.lease_token, '1 h') r WHERE l.name = 'd';
SELECT * FROM usage;
-- Raised again while it drains, but not above what is held: nobody moves up.
SELECT slot_set('k', 3);
SELECT * FROM usage;
SELECT tasks();
SELECT slot_set('k', 4);
SELECT * FROM usage;
-- The last one too many has gone: from here on it is handed on.
SELECT done('urgent');
SELECT * FROM usage;
SELECT tasks();
SELECT slot_set('k', 2);
SELECT done('urgent, too'), done('lazy');
SELECT tasks();
SELECT * FROM usage;
SELECT done('e');
SELECT * FROM usage;
SELECT * FROM baton_check(true);

-- Raised above what is held while it drains: the rest is given out at once.
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT new('h'), new('i'), new('j');
SELECT slot_set('k', 1);
SELECT * FROM usage;
SELECT slot_set('k', 4);
SELECT * FROM usage;
SELECT tasks();

-- 0: nobody gets one. Up again: the line moves.
SELECT slot_set('k', 0);
SELECT * FROM usage;
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT done('f'), done('g'), done('h'), done('i');
SELECT * FROM usage;
SELECT new('l', priority => 1);
SELECT tasks();
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT * FROM baton_check(true);
SELECT slot_set('k', 1);
SELECT tasks();
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT done('l');
SELECT slot_set('k', 0);
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT done('j');
SELECT * FROM usage;

-- What is free goes at once; from 0, and with nobody in line.
SELECT slot_set('k', 3000);
SELECT * FROM usage;
SELECT slot_set('k', 1);
SELECT * FROM usage;
SELECT new('m'), new('n');
SELECT slot_set('k', 0), slot_set('k', 3), slot_set('k', 1);
SELECT tasks();
SELECT * FROM usage;
SELECT * FROM baton_check(true);

-- Undone with its transaction, or its savepoint.
BEGIN;
SELECT slot_set('k', 2);
SELECT tasks();
SAVEPOINT s;
SELECT slot_set('k', 0), slot_set('other', 1);
SELECT * FROM usage ORDER BY 1;
ROLLBACK TO SAVEPOINT s;
SELECT * FROM usage ORDER BY 1;
SELECT new('o', '{other}');
ROLLBACK;
SELECT tasks();
SELECT * FROM usage;
BEGIN;
SAVEPOINT s;
SELECT slot_set('k', 2);
ROLLBACK TO SAVEPOINT s;
SELECT new('o');
SELECT slot_set('k', 3);
SELECT tasks();
COMMIT;
SELECT tasks();
SELECT * FROM baton_check(true);

-- A key that drains takes nobody in, though another one that the task needs is free; when both have a slot, it gets both.
SELECT slot_set('k', 1), slot_set('free', 1);
SELECT new('both', '{free,k}'), new('alone', '{free}');
SELECT * FROM usage ORDER BY 1;
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT done('m');
SELECT done('n');
SELECT done('alone');
SELECT done('o');
SELECT * FROM usage ORDER BY 1;
SELECT tasks();

-- Many wait: all that is added is given out, the rest of the line stays.
SELECT slot_set('many', 0);
SELECT count(*) FROM task_create_many('q', array_fill('{}'::jsonb, ARRAY[300]), slot_keys => '{many}');
SELECT slot_set('many', 120);
SELECT * FROM usage WHERE slot_key = 'many';
SELECT slot_set('many', 1000);
SELECT * FROM usage WHERE slot_key = 'many';
SELECT slot_set('many', 10);
SELECT * FROM usage WHERE slot_key = 'many';
SELECT count(*) FROM task_list(states => '{ready}', max_tasks => 1000);
SELECT * FROM baton_check(true);

-- Names are names: of 1 to 255 bytes, of any kind.
SELECT slot_set('Ключ, "k" of {the} NULL', 1);
SELECT new('p', ARRAY['Ключ, "k" of {the} NULL']);
SELECT slot_key, holders FROM baton.slot_usage WHERE slot_key LIKE 'Ключ%';
SELECT slot_set('', 1);
SELECT slot_set(repeat('k', 256), 1);
SELECT slot_set(NULL, 1);
SELECT slot_set('k', NULL);
SELECT slot_set('k', -1);
SELECT slot_set('k', 100001);
SELECT * FROM usage WHERE slot_key = 'k';

-- It needs `operate` in all queues: a key is nobody's queue.
CREATE ROLE regress_nobody;
CREATE ROLE regress_worker;
CREATE ROLE regress_operator_of_q;
CREATE ROLE regress_operator;
SELECT baton_grant('regress_worker', 'produce'), baton_grant('regress_worker', 'work'), baton_grant('regress_operator_of_q', 'operate', 'q'), baton_grant('regress_operator', 'operate');
SET ROLE regress_nobody;
SELECT slot_set('k', 5);
SET ROLE regress_worker;
SELECT slot_set('k', 5);
SET ROLE regress_operator_of_q;
SELECT slot_set('k', 5);
SET ROLE regress_operator;
SELECT slot_set('k', 5);
RESET ROLE;
SELECT * FROM usage WHERE slot_key = 'k';

SELECT * FROM baton_check(true);
