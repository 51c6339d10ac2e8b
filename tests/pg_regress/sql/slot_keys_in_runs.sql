-- slot_keys of steps: each item holds a slot of each beside that of its step's and its run's max_parallel, all or none. Whatever ends, pauses or stops a run hands them on.

SELECT queue_create('q', lease_ttl => '1 h', max_attempts => 3);
SELECT queue_create('r', lease_ttl => '1 h');
CREATE FUNCTION start(definition jsonb, items int = 4) RETURNS bigint LANGUAGE sql AS $$
    SELECT run_id FROM workflow_start(definition => definition, input => (SELECT jsonb_agg(i) FROM generate_series(0, items - 1) i))
$$;
CREATE FUNCTION names(tasks bigint[]) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT string_agg(concat_ws(' ', t.name, t.item_index), ', ' ORDER BY n) FROM unnest(tasks) WITH ORDINALITY d (task_id, n), task_get(d.task_id) t), 'nothing')
$$;
-- Ends a leased task (the item, if it is one); what follows at once.
CREATE FUNCTION done(who text, item int = NULL, ended text = 'completed') RETURNS text LANGUAGE sql AS $$
    SELECT f.outcome || ', then ' || names(f.dispatched) FROM baton.leases l, task_get(l.task_id) t, task_finalize(l.task_id, l.lease_token, ended) f WHERE l.name = who AND t.item_index IS NOT DISTINCT FROM coalesce(item, t.item_index)
$$;
CREATE FUNCTION lease(queue text = 'q') RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', name, item_index), ', ' ORDER BY n) FROM task_acquire_lease(queue, 'w', max_tasks => 1000) WITH ORDINALITY l (task_id, lease_token, e, a, ll, name, k, p, run_id, item_index, m, n)
$$;
CREATE FUNCTION tasks() RETURNS TABLE (name text, items text) LANGUAGE sql AS $$
    SELECT name, string_agg(concat_ws(' ', item_index, state), ', ' ORDER BY item_index, task_id) FROM task_list(states => '{scheduled,blocked,ready,running,compensating}', max_tasks => 1000) GROUP BY name ORDER BY name
$$;
CREATE VIEW usage AS SELECT coalesce(slot_key, step, 'the run') AS slots_of, slot_key IS NOT NULL AS named, capacity, holders, waiters, draining FROM baton.slot_usage WHERE slot_key IS NOT NULL OR holders + waiters > 0 ORDER BY 2 DESC, 1;
SELECT slot_set('a', 2), slot_set('b', 1), slot_set('c', 0);

-- The keys must be there when a definition is stored, and when a run starts.
SELECT * FROM workflow_define('flow', '{"steps": [{"name": "s", "queue": "q", "slot_keys": ["a", "nowhere"]}]}');
SELECT * FROM workflow_start(definition => '{"steps": [{"name": "s", "queue": "q", "slot_keys": ["nowhere"]}]}');
SELECT * FROM workflow_define('flow', '{"steps": [{"name": "s", "queue": "q", "slot_keys": ["a", "a"]}]}');
SELECT * FROM workflow_define('flow', '{"steps": [{"name": "s", "queue": "q", "slot_keys": "a"}]}');
SELECT * FROM workflow_define('flow', '{"steps": [{"name": "s", "queue": "q", "slot_keys": ["a", 1]}]}');
SELECT * FROM workflow_define('flow', '{"steps": [{"name": "s", "queue": "q", "slot_keys": ["1", "2", "3", "4", "5", "6", "7", "8", "9"]}]}');
SELECT * FROM workflow_define('flow', '{"steps": [{"name": "s", "queue": "q", "slot_keys": []}]}');

-- Two keys and two queues: every item holds one of each of its step's, from `ready` on; tasks outside the run share them.
SELECT start('{"steps": [{"name": "s", "queue": "q", "with_items": "$.input", "slot_keys": ["a"]}, {"name": "t", "queue": "r", "slot_keys": ["b", "a"], "priority": 1},
    {"name": "next", "queue": "q", "needs": ["s"], "slot_keys": ["b"]}]}') AS run \gset
SELECT * FROM tasks();
SELECT * FROM usage;
SELECT name, item_index, slot_keys FROM task_list(run_id => :run) ORDER BY task_id;
SELECT state FROM task_create('q', name => 'outside', slot_keys => '{a}');
SELECT lease();
-- t has the higher priority; the items stand before the task that came after them.
SELECT done('s', 1);
SELECT * FROM tasks();
SELECT lease('r'), done('s', 0);
SELECT lease(), done('t');
SELECT lease(), done('s', 2);
SELECT lease();
SELECT * FROM baton_check(true);
-- The step that follows is handed a slot in the call that dispatches it; here somebody else has it.
SELECT state FROM task_create('q', name => 'holds b', slot_keys => '{b}');
SELECT done('s', 3);
SELECT * FROM tasks();
SELECT lease(), done('holds b');
SELECT lease(), done('next'), done('outside');
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM usage;

-- With max_parallel of the step and of the run: a slot of each, all or none.
SELECT start('{"max_parallel": 3, "steps": [{"name": "s", "queue": "q", "with_items": "$.input", "max_parallel": 2, "slot_keys": ["a"]}, {"name": "t", "queue": "q", "with_items": "$.input", "slot_keys": ["b"]},
    {"name": "u", "queue": "q", "with_items": "$.input", "slot_keys": ["c"]}]}', 3) AS run \gset
SELECT * FROM tasks();
SELECT * FROM usage;
-- Those that wait for a named key stand in nobody's way: u lacks c for good, and the run is at work on the rest.
SELECT lease(), done('s', 0);
SELECT lease(), done('t', 0);
SELECT lease(), done('t', 1), done('s', 1);
SELECT lease(), done('t', 2), done('s', 2);
SELECT * FROM tasks();
SELECT * FROM usage;
SELECT slot_set('c', 5);
SELECT lease();
SELECT * FROM usage;
SELECT slot_set('c', 1);
SELECT done('u', 0), done('u', 1), done('u', 2);
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM usage;
SELECT * FROM baton_check(true);

-- An attempt that failed: again at once it keeps all three, after a while none of them.
SELECT start('{"max_parallel": 2, "steps": [{"name": "s", "queue": "q", "with_items": "$.input", "max_parallel": 1, "slot_keys": ["b"]}]}', 2) AS run \gset
SELECT lease();
SELECT f.outcome, f.state FROM baton.leases l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '0') f;
SELECT * FROM usage;
SELECT lease();
SELECT f.outcome, f.state FROM baton.leases l, task_fail_attempt(l.task_id, l.lease_token, retry_after => '20 ms') f;
SELECT * FROM tasks();
SELECT * FROM usage;
SELECT pg_sleep(0.03);
SELECT lease();
SELECT * FROM tasks();
SELECT done('s', 1), lease(), done('s', 0);
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM usage;

-- Paused: what is in line gives its slots to others at once; what runs keeps them, until it is given back.
SELECT start('{"max_parallel": 2, "steps": [{"name": "s", "queue": "q", "with_items": "$.input", "slot_keys": ["a"]}, {"name": "t", "queue": "r", "slot_keys": ["b"]}]}', 3) AS run \gset
SELECT name, item_index FROM task_acquire_lease('q', 'w');
SELECT state FROM task_create('q', name => 'outside', slot_keys => '{a}');
SELECT state FROM task_create('q', name => 'outside, too', slot_keys => '{a,b}');
SELECT * FROM tasks();
SELECT workflow_pause(:run, 'here');
SELECT * FROM tasks();
SELECT * FROM usage;
SELECT lease(), lease('r');
SELECT r.outcome FROM baton.leases l, task_release(l.task_id, l.lease_token) r WHERE l.name = 's';
SELECT * FROM tasks();
SELECT * FROM usage;
SELECT * FROM baton_check(true);
-- Resumed: in line again for all they need, in their old order, behind who came meanwhile.
SELECT state FROM task_create('q', name => 'meanwhile', slot_keys => '{a}');
SELECT workflow_resume(:run, 'here');
SELECT * FROM tasks();
SELECT * FROM usage;
SELECT lease(), done('outside'), lease('r');
SELECT lease(), done('outside, too');
SELECT lease(), done('meanwhile'), lease('r');
SELECT * FROM tasks();
SELECT * FROM baton_check(true);
-- Paused while all of it waits, and resumed when all is free.
SELECT workflow_pause(:run, 'here');
SELECT done('s', 1), done('t');
SELECT * FROM usage;
SELECT workflow_resume(:run, 'here'), lease();
SELECT done('s', 0), done('s', 2);
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM usage;

-- Cancelled: what has not started ends, what runs keeps its slots until it has ended; forced, all of it ends.
SELECT start('{"steps": [{"name": "s", "queue": "q", "with_items": "$.input", "slot_keys": ["a"]}]}', 3) AS run1 \gset
SELECT start('{"steps": [{"name": "t", "queue": "q", "with_items": "$.input", "slot_keys": ["a"]}]}', 3) AS run2 \gset
SELECT name, item_index FROM task_acquire_lease('q', 'w');
SELECT workflow_cancel(:run1);
SELECT * FROM tasks();
SELECT * FROM usage;
SELECT done('s', 0, 'cancelled');
SELECT lease();
SELECT state FROM task_create('q', name => 'outside', slot_keys => '{a}');
SELECT workflow_cancel(:run2, running => 'force');
SELECT * FROM tasks();
SELECT * FROM usage;
SELECT lease(), done('outside');
SELECT (SELECT state FROM workflow_get(:run1)), (SELECT state FROM workflow_get(:run2));
-- on_error fail: what is called off gives back what it held, for others and for the handlers of failures.
SELECT start('{"steps": [{"name": "s", "queue": "q", "with_items": "$.input", "slot_keys": ["a"]}, {"name": "other", "queue": "r", "slot_keys": ["b"]},
    {"name": "alert", "queue": "q", "needs": ["s"], "when": "failed", "slot_keys": ["b"]}]}', 3) AS run \gset
SELECT state FROM task_create('q', name => 'outside', slot_keys => '{a}');
SELECT lease(), done('s', 0, 'failed');
SELECT * FROM tasks();
SELECT * FROM usage;
SELECT done('s', 1);
SELECT lease(), done('alert');
SELECT done('outside');
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM usage;
SELECT * FROM baton_check(true);

-- Paused at on_error, and redriven: the new one holds nothing before the run is resumed, then the same keys.
SELECT start('{"on_error": "pause", "max_parallel": 2, "steps": [{"name": "s", "queue": "q", "with_items": "$.input", "slot_keys": ["b"]}]}', 2) AS run \gset
SELECT lease(), done('s', 0, 'failed');
SELECT * FROM tasks();
SELECT state FROM task_create('q', name => 'outside', slot_keys => '{b}');
SELECT r.outcome FROM task_list(run_id => :run, states => '{failed}') t, task_redrive(t.task_id) r;
SELECT * FROM tasks();
SELECT name, item_index, slot_keys FROM task_list(run_id => :run, states => '{blocked}') ORDER BY item_index;
SELECT workflow_resume(:run, 'on_error');
SELECT * FROM tasks();
SELECT lease(), done('outside');
SELECT * FROM tasks();
SELECT name, item_index FROM task_acquire_lease('q', 'w');
SELECT done('s', 1);
SELECT name, item_index FROM task_acquire_lease('q', 'w');
SELECT done('s', 0);
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM usage;

-- An item alone is cancelled; a task that runs is taken back with its lease: the next of either line moves up.
SELECT queue_create('brief', on_lost => 'fail');
SELECT start('{"on_error": "continue", "steps": [{"name": "s", "queue": "brief", "with_items": "$.input", "max_parallel": 2, "slot_keys": ["b"]}]}', 4) AS run \gset
SELECT c.outcome FROM task_items(:run, 's', 0, 1) i, task_cancel(i.task_id) c;
SELECT c.outcome FROM task_items(:run, 's', -1, 1) i, task_cancel(i.task_id) c;
SELECT * FROM tasks();
SELECT name, item_index FROM task_acquire_lease('brief', 'w', '100 ms');
SELECT pg_sleep(0.12);
SELECT name, item_index FROM task_acquire_lease('brief', 'w');
SELECT done('s', 3);
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM usage;
SELECT * FROM baton_check(true);

-- A step of more items than become tasks at a time, with a named key: never more at work than that, to the end.
SELECT start('{"steps": [{"name": "wide", "queue": "q", "with_items": "$.input", "slot_keys": ["a"]}]}', 2100) AS run \gset
SELECT * FROM usage;
SELECT state FROM task_create('q', name => 'outside', slot_keys => '{a}');
-- Ends all that is at work, until nothing is; how many ended, and how many were at work at most.
CREATE FUNCTION drain(of_run bigint, OUT ended bigint, OUT most bigint) LANGUAGE plpgsql AS $$
DECLARE batch record;
BEGIN
    ended := 0; most := 0;
    LOOP
        SELECT array_agg(l.task_id) AS ids, array_agg(l.lease_token) AS tokens, count(*)::int AS tasks, count(*) FILTER (WHERE l.run_id = of_run) AS of_run
        INTO batch FROM task_acquire_lease('q', 'w', max_tasks => 1000) l;
        EXIT WHEN batch.tasks = 0;
        PERFORM f.outcome FROM task_finalize_many(batch.ids, batch.tokens, array_fill('completed'::text, ARRAY[batch.tasks])) f;
        ended := ended + batch.tasks;
        most := greatest(most, batch.of_run);
    END LOOP;
END $$;
SELECT * FROM drain(:run);
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM usage;
SELECT * FROM baton_check(true);
-- And with a bound of the step, narrower or wider than the key.
SELECT slot_set('a', 7);
SELECT start('{"steps": [{"name": "wide", "queue": "q", "with_items": "$.input", "max_parallel": 5, "slot_keys": ["a"]}]}', 1100) AS run \gset
SELECT * FROM baton_check(true);
SELECT * FROM drain(:run);
SELECT state, counts FROM workflow_get(:run);
SELECT slot_set('a', 3);
SELECT start('{"max_parallel": 9, "steps": [{"name": "wide", "queue": "q", "with_items": "$.input", "max_parallel": 5, "slot_keys": ["a"]}]}', 1100) AS run \gset
SELECT * FROM drain(:run);
SELECT state, counts FROM workflow_get(:run);
SELECT * FROM usage;
SELECT * FROM baton_check(true);
-- Its last task that waits is handed the key by somebody outside: the items that are no tasks yet follow.
SELECT slot_set('b', 1);
SELECT state FROM task_create('r', name => 'outside', slot_keys => '{b}');
SELECT start('{"on_error": "continue", "steps": [{"name": "wide", "queue": "q", "with_items": "$.input", "max_parallel": 3, "slot_keys": ["b"]}]}', 1010) AS run \gset
DO $$ BEGIN FOR i IN 1..12 LOOP PERFORM task_reap(); END LOOP; END $$;
SELECT c.outcome, count(*) FROM task_items(:run, 'wide', max_items => 999) i, task_cancel(i.task_id) c GROUP BY 1;
SELECT lease('r'), done('outside');
SELECT * FROM baton_check(true);
SELECT slot_set('b', 5);
SELECT lease();
SELECT * FROM usage;
SELECT * FROM baton_check(true);
SELECT workflow_cancel(:run, running => 'force');
-- Paused on its way, and cancelled there.
SELECT start('{"steps": [{"name": "wide", "queue": "q", "with_items": "$.input", "slot_keys": ["a"]}]}', 1500) AS run \gset
SELECT lease();
SELECT workflow_pause(:run, 'here');
SELECT * FROM usage;
SELECT done('wide', 0);
SELECT workflow_resume(:run, 'here');
SELECT * FROM usage;
SELECT workflow_cancel(:run, running => 'force');
SELECT * FROM usage;
SELECT state, counts FROM workflow_get(:run);

-- A group beside a run, bounded for itself: its items hold slots of their group's only.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'items', '{1,2,3}'::jsonb[], max_parallel => 1) \gset
SELECT DISTINCT slot_keys FROM task_list(run_id => :run);
SELECT slot_set('b', 1);
SELECT start('{"steps": [{"name": "s", "queue": "q", "slot_keys": ["b"]}]}') AS defined \gset
SELECT outcome, state FROM task_create_items('q', 'beside', '{1,2}'::jsonb[], run_id => :defined, max_parallel => 1);
SELECT * FROM usage;
SELECT lease(), done('s'), done('items', 0), done('beside', 0);
SELECT lease(), done('items', 1), done('beside', 1);
SELECT lease(), done('items', 2);
SELECT state, counts FROM workflow_get(:defined);
SELECT count(*) FROM baton.slot WHERE holder IS NOT NULL;
SELECT count(*) FROM baton.due;

-- Purged with their runs, nothing of it is left but the keys with a name.
SELECT DISTINCT more FROM baton_purge('0', max_tasks => 100000);
SELECT slot_key, run_id, step, capacity, holders, waiters FROM baton.slot_usage ORDER BY slot_key;
SELECT count(*) FROM baton.slot;

SELECT * FROM baton_check(true);
