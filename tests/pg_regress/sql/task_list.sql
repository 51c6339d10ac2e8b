-- task_list: columns, filters, order, pages.

-- Its columns are those of task_get, without payload, result and error.
SELECT replace(replace(replace(pg_get_function_result('task_get(bigint)'::regprocedure), ' payload jsonb,', ''), ' result jsonb,', ''), ' error jsonb,', '')
     = pg_get_function_result('task_list(text, text[], text, text, bigint, bigint, int)'::regprocedure) AS as_task_get;

-- The queue "default" is there before its first use; there is nothing in it.
SELECT count(*) FROM task_list();
SELECT count(*) FROM task_list('default');
SELECT count(*) FROM task_list('default', '{ready}', 'n', 'o', 1, 1, 1);
SELECT count(*) AS queues FROM baton.queue;

-- A task in every state, of two queues.
SELECT queue_create('a', max_attempts => 3);
SELECT queue_create('b');
SELECT key, c.state FROM unnest(ARRAY['ready', 'scheduled', 'running', 'completed', 'failed', 'cancelled', 'quarantined']) key,
    task_create('a', '"payload"', name => CASE WHEN key IN ('ready', 'completed') THEN 'named' END, key => key, priority => CASE key WHEN 'ready' THEN 3 ELSE 0 END, metadata => jsonb_build_object('k', key), run_at => CASE key WHEN 'scheduled' THEN clock_timestamp() + interval '1 h' END) c;
SELECT key, a.outcome FROM task_list('a', '{ready}') t, task_acquire_lease_by_id(t.task_id, CASE key WHEN 'running' THEN 'w1' ELSE 'w2' END, '1 h') a WHERE key <> 'ready' ORDER BY t.task_id;
SELECT key, f.outcome FROM task_list('a', '{running}') t, task_finalize(t.task_id, t.lease_token, key, '"result"', '"error"', 'because') f WHERE key <> 'running' ORDER BY t.task_id;
SELECT outcome FROM task_create('b', name => 'named');
SELECT DISTINCT run_id AS run FROM task_create_items('b', 'g', '{0,1,2}'::jsonb[], max_parallel => 1, successor => 'after', successor_queue => 'a') \gset
SELECT a.outcome FROM task_items(:run, 'g', -1, 1) i, task_acquire_lease_by_id(i.task_id, 'w1') a;

-- Newest first.
SELECT queue, key, name, item_index, state, owner FROM task_list();
SELECT bool_and(task_id < before) AS newest_first FROM (SELECT task_id, lag(task_id) OVER () AS before FROM task_list()) t;
-- Each row is as task_get has it.
SELECT count(*) AS tasks, count(*) FILTER (WHERE to_jsonb(l) = to_jsonb(g) - '{payload,result,error}'::text[]) AS same FROM task_list() l, task_get(l.task_id) g;

-- By queue, by states, by both.
SELECT key, state FROM task_list('a');
SELECT name, state FROM task_list(queue => 'b');
SELECT state, (SELECT string_agg(coalesce(key, name), ' ' ORDER BY task_id DESC) FROM task_list(states => ARRAY[state])) AS tasks
FROM unnest(ARRAY['scheduled', 'blocked', 'ready', 'running', 'compensating', 'completed', 'failed', 'cancelled', 'compensated', 'quarantined']) state;
SELECT key, state FROM task_list('a', '{failed,ready,failed,quarantined}');
SELECT key, state FROM task_list('b', '{ready,blocked}');
SELECT count(*) FROM task_list(states => '{}');
SELECT count(*) FROM task_list(states => '{scheduled,blocked,ready,running,compensating,completed,failed,cancelled,compensated,quarantined}');
-- By name, live and finished; by the owner of a lease that is held now.
SELECT queue, key, state FROM task_list(name => 'named');
SELECT key, state FROM task_list('a', '{completed}', 'named');
SELECT count(*) FROM task_list(name => 'Named');
SELECT queue, key, item_index, owner, lease_token > 0 AS token FROM task_list(owner => 'w1');
SELECT count(*) FROM task_list(owner => 'w2');
SELECT count(*) FROM task_list('a', '{completed}', owner => 'w1');
SELECT count(*) FROM task_list('b', owner => 'w1', name => 'g');
-- By run: items, and the successor that it dispatched in another queue.
SELECT name, item_index, state FROM task_list(run_id => :run);
SELECT name, item_index, state FROM task_list(run_id => :run, states => '{blocked}');
SELECT name, item_index FROM task_list(run_id => :run, owner => 'w1');
SELECT outcome FROM task_list(run_id => :run) t, task_cancel(t.task_id, force => true) ORDER BY t.task_id;
SELECT queue, name, item_index, state, run_id = :run AS run FROM task_list(run_id => :run);
SELECT queue, name, state FROM task_list('a', run_id => :run);
SELECT queue, name, item_index FROM task_list('b', '{cancelled}', 'g', run_id => :run, max_tasks => 2);
SELECT count(*) FROM task_list(run_id => 999999999);
SELECT count(*) FROM task_list(run_id => -1);
-- A task that is in no run has none, whatever it dispatched.
SELECT outcome FROM task_get_by_key('a', 'completed') t, task_dispatch_successor(t.task_id, 'then', 'b');
SELECT run_id, name FROM task_list() WHERE name = 'then';
SELECT count(*) FROM task_get_by_key('a', 'completed') t, task_list(run_id => t.task_id);

-- Pages by key: nothing is met twice, nothing is missed, and what was created meanwhile is not in between.
CREATE FUNCTION pages(size int, queue text, states text[] = NULL, name text = NULL, run_id bigint = NULL) RETURNS TABLE (pages int, tasks int, as_whole boolean) LANGUAGE plpgsql AS $$
DECLARE
    page bigint[];
    all_pages bigint[] := '{}';
BEGIN
    pages := 0;
    LOOP
        page := ARRAY(SELECT task_id FROM task_list($2, $3, $4, NULL, $5, all_pages[cardinality(all_pages)], $1));
        EXIT WHEN page = '{}';
        pages := pages + 1;
        all_pages := all_pages || page;
    END LOOP;
    tasks := cardinality(all_pages);
    as_whole := all_pages = ARRAY(SELECT task_id FROM task_list($2, $3, $4, NULL, $5, max_tasks => 1000));
    RETURN NEXT;
END $$;
SELECT count(c.outcome) FROM task_create_many('b', array_fill('{}'::jsonb, ARRAY[50]), 'bulk') m, task_cancel(m.task_id) c WHERE m.ordinal % 2 = 0;
SELECT * FROM pages(1, NULL);
SELECT * FROM pages(7, NULL);
SELECT * FROM pages(10, 'b');
SELECT * FROM pages(4, 'b', '{cancelled,ready}');
SELECT * FROM pages(4, 'b', '{cancelled}', 'bulk');
SELECT * FROM pages(3, NULL, NULL, 'named');
SELECT * FROM pages(1, NULL, NULL, NULL, :run);
SELECT * FROM pages(3, 'b', '{cancelled}', NULL, :run);
-- 100 unless asked otherwise.
SELECT count(*) FROM task_create_many('b', array_fill('{}'::jsonb, ARRAY[100]));
SELECT count(*) FROM task_list();
SELECT count(*) FROM task_list(max_tasks => 1000);
SELECT count(*) FROM task_list(before_task_id => 1);
SELECT count(*) FROM task_list(before_task_id => 0);
SELECT count(*) FROM task_list(before_task_id => -9223372036854775808);
SELECT count(*) FROM task_list(before_task_id => 9223372036854775807, max_tasks => 3);
SELECT key FROM task_list('a', max_tasks => 1);

-- A dropped queue: its finished tasks are listed, by its name as well.
SELECT queue_create('gone');
SELECT outcome FROM task_create('gone', key => 'was here');
SELECT outcome FROM task_get_by_key('gone', 'was here') t, task_cancel(t.task_id);
SELECT queue_drop('gone');
SELECT queue, key, state FROM task_list('gone');
SELECT queue, key, state FROM task_list(max_tasks => 1);
SELECT count(*) FROM task_list('gone', '{ready}');

-- It writes nothing and works in a read-only transaction.
BEGIN READ ONLY;
SELECT count(*) FROM task_list('a');
SELECT count(*) FROM task_list('default');
COMMIT;

-- Errors.
SELECT * FROM task_list('nowhere');
SELECT * FROM task_list('A');
SELECT * FROM task_list('');
SELECT * FROM task_list(repeat('q', 256));
SELECT * FROM task_list(states => '{done}');
SELECT * FROM task_list(states => '{ready,Ready}');
SELECT * FROM task_list(states => ARRAY['ready', NULL]);
SELECT * FROM task_list(states => '{""}');
SELECT * FROM task_list(states => '{{ready},{running}}');
SELECT * FROM task_list(states => array_fill('ready'::text, ARRAY[1001]));
SELECT count(*) > 0 AS many_are_fine FROM task_list(states => array_fill('ready'::text, ARRAY[1000]));
SELECT * FROM task_list(name => '');
SELECT * FROM task_list(name => repeat('n', 256));
SELECT * FROM task_list(owner => '');
SELECT * FROM task_list(owner => repeat('o', 256));
SELECT * FROM task_list(max_tasks => NULL);
SELECT * FROM task_list(max_tasks => 0);
SELECT * FROM task_list(max_tasks => -1);
SELECT * FROM task_list(max_tasks => 1001);

-- What is being undone, and what has been; what undoes it; slot keys by name.
SELECT queue_create('undone', max_attempts => 1);
SELECT queue_create('undo');
SELECT slot_set(key, 2) FROM unnest(ARRAY['k', 'l']) key;
SELECT outcome FROM unnest(ARRAY['compensated', 'compensating', 'completed']) key, task_create('undone', key => key, slot_keys => CASE key WHEN 'compensated' THEN '{l}' ELSE '{l,k}' END::text[]);
SELECT l.key, r.outcome, f.outcome FROM task_acquire_lease('undone', 'w') l, task_register_compensation(l.task_id, l.lease_token, 'undo it', 'undo') r, task_finalize(l.task_id, l.lease_token, 'failed', '"result"', '"error"', 'because') f;
SELECT f.outcome FROM task_acquire_lease('undo', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT l.key, r.outcome, f.outcome FROM task_acquire_lease('undone', 'w') l, task_register_compensation(l.task_id, l.lease_token, 'undo it', 'undo') r, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT l.key, r.outcome, f.outcome FROM task_acquire_lease('undone', 'w') l, task_register_compensation(l.task_id, l.lease_token, 'undo it', 'undo') r, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT key, state, reason, slot_keys, owner, lease_token, finalized_at IS NOT NULL AS finalized FROM task_list('undone');
SELECT key FROM task_list(states => '{compensated}');
SELECT key FROM task_list(states => '{compensating}');
SELECT key, state, slot_keys FROM task_list('undone', '{compensating,compensated}');
SELECT queue, name, state, run_id, metadata - 'compensates' AS metadata FROM task_list(name => 'undo it');
SELECT count(*) FROM task_list('undone', owner => 'w');
SELECT count(*) AS tasks, count(*) FILTER (WHERE to_jsonb(l) = to_jsonb(g) - '{payload,result,error}'::text[]) AS same FROM task_list('undone') l, task_get(l.task_id) g;

SELECT * FROM baton_check(true);
