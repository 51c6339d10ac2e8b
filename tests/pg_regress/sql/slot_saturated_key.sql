-- A key that is full starves nobody: more tasks than one sweep looks at come due and find no slot, all of them before
-- a task that needs none.

SELECT queue_create('q');
-- One at a time: each item is leased and put off, but for the last one, which keeps the slot.
SELECT count(*) FROM task_create_items('q', 'item', array_fill('{}'::jsonb, ARRAY[121]), max_parallel => 1);
DO $$ BEGIN
    FOR i IN 1..120 LOOP
        PERFORM task_release(task_id, lease_token, '2 s') FROM task_acquire_lease('q', 'w');
    END LOOP;
END $$;
SELECT item_index FROM task_acquire_lease('q', 'w', '1 h');
SELECT outcome, state FROM task_create('q', name => 'needs no slot', run_at => clock_timestamp() + '2 s');
SELECT state, count(*) FROM task_list('q', max_tasks => 1000) GROUP BY state ORDER BY state;
SELECT pg_sleep(2.1);

-- Each acquire looks at 100 that are due: those that find no slot wait for it in a line of their own.
SELECT name FROM task_acquire_lease('q', 'w');
SELECT name FROM task_acquire_lease('q', 'w');
SELECT state, count(*) FROM task_list('q', max_tasks => 1000) GROUP BY state ORDER BY state;

-- A key with a name, full to the last slot, over several queues: more waiters than one call hands slots to, and tasks that need another key, or none, pass by them.
SELECT slot_set('full', 1), slot_set('spare', 2);
SELECT queue_create('r');
SELECT outcome, state FROM task_create('r', name => 'holds it', slot_keys => '{full}');
SELECT count(*) FROM task_create_many('r', array_fill('{}'::jsonb, ARRAY[250]), name => 'waits', slot_keys => '{full}');
SELECT count(*) FROM task_create_many('r', array_fill('{}'::jsonb, ARRAY[250]), name => 'waits for both', slot_keys => '{spare,full}');
SELECT outcome, state FROM unnest(ARRAY['1', '2']) n, task_create('r', n::jsonb, name => 'spare ' || n, slot_keys => '{spare}');
SELECT outcome, state FROM task_create('r', name => 'needs none');
SELECT name, state, count(*), sum((SELECT count(*) FROM baton.slot WHERE holder = task_id)) AS slots FROM task_list('r', max_tasks => 1000) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT sum(waiters) AS waiters, min(holders) AS full, max(holders) AS spare FROM baton.slot_usage WHERE slot_key IN ('full', 'spare');
SELECT name FROM task_acquire_lease('r', 'w', max_tasks => 10);
SELECT * FROM baton_check(true);
-- The key is opened wide: all who wait get in, though one call hands out no more than it has room for.
SELECT slot_set('full', 1000), slot_set('spare', 1000);
SELECT count(*) FROM generate_series(1, 10) n, task_reap(queue => CASE WHEN n > 0 THEN 'r' END);
SELECT name, state, count(*), sum((SELECT count(*) FROM baton.slot WHERE holder = task_id)) AS slots FROM task_list('r', max_tasks => 1000) GROUP BY 1, 2 ORDER BY 1, 2;
-- And closed: who has a slot keeps it; nobody gets one until it is opened again.
SELECT slot_set('full', 0);
SELECT capacity, holders, waiters, draining FROM baton.slot_usage WHERE slot_key = 'full';
SELECT outcome, state FROM task_create('r', name => 'too late', slot_keys => '{full}');
SELECT count(*) FROM task_acquire_lease('r', 'w', max_tasks => 1000);
SELECT DISTINCT f.outcome, f.dispatched FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') f WHERE l.queue = 'r';
SELECT capacity, holders, waiters, draining FROM baton.slot_usage WHERE slot_key = 'full';
SELECT count(*) FROM task_acquire_lease('r', 'w');
SELECT slot_set('full', 1);
SELECT name FROM task_acquire_lease('r', 'w');

SELECT * FROM baton_check(true);
