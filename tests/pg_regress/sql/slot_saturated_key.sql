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

SELECT * FROM baton_check(true);
