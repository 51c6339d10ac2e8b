-- task_dispatch_successor: once per (run, successor), never early.

SELECT queue_create('q', lease_ttl => '1 min', max_attempts => 4);
SELECT queue_create('next', max_attempts => 6);
SELECT * FROM task_dispatch_successor(999999999, 's', 'next');

-- A task without a run is its own group and scope.
SELECT task_id AS t FROM task_create('q', name => 'alone') \gset
SELECT * FROM task_dispatch_successor(:t, 's', 'next');
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT * FROM task_dispatch_successor(:t, 's', 'next');
SELECT outcome FROM task_finalize(:t, :l, 'completed');
-- needs something that is absent
SELECT * FROM task_dispatch_successor(:t, 's', 'next', needs => ARRAY['absent']);
SELECT outcome, successor_task_id AS s, siblings_remaining, completed, failed, cancelled FROM task_dispatch_successor(:t, 's', 'next', '{"from": 1}') \gset
SELECT :'outcome' AS outcome, :siblings_remaining AS siblings_remaining, :completed AS completed, :failed AS failed, :cancelled AS cancelled;
SELECT queue, name, key, state, payload, max_attempts, run_id, item_index FROM task_get(:s);
-- The same id again, whatever else the call says.
SELECT outcome, successor_task_id = :s AS same_task, completed FROM task_dispatch_successor(:t, 's', 'next', '{"from": 1}');
SELECT outcome, successor_task_id = :s AS same_task, completed FROM task_dispatch_successor(:t, 's', 'q', '{"from": 2}', ARRAY['absent']);
-- Another name is another successor; the same name of another task, too.
SELECT outcome, successor_task_id <> :s AS other_task FROM task_dispatch_successor(:t, 's2', 'next', needs => ARRAY['alone'], max_attempts => 1);
SELECT outcome FROM task_dispatch_successor(:t, 's3', 'next', needs => ARRAY['s']);
SELECT task_id AS t2 FROM task_create('q') \gset
SELECT outcome FROM task_cancel(:t2);
SELECT outcome, successor_task_id <> :s AS other_task, completed, failed, cancelled FROM task_dispatch_successor(:t2, 's', 'next');
SELECT name, max_attempts FROM task_acquire_lease('next', 'w', max_tasks => 10) JOIN LATERAL (SELECT max_attempts FROM baton.task t WHERE t.task_id = task_acquire_lease.task_id) m ON true;
-- How it ended does not matter, that it has does.
SELECT outcome FROM unnest(ARRAY['failed', 'quarantined']) state, task_create('q', to_jsonb(state), key => state);
SELECT payload, outcome FROM task_acquire_lease('q', 'w', max_tasks => 2) l, task_finalize(l.task_id, l.lease_token, payload ->> 0);
SELECT key, d.outcome, completed, failed, cancelled FROM unnest(ARRAY['failed', 'quarantined']) state, task_get_by_key('q', state) t, task_dispatch_successor(t.task_id, 's', 'next') d;

-- A group: waiting until its last item has ended, whichever item is named.
SELECT run_id AS run, min(task_id) AS i0, max(task_id) AS i2 FROM task_create_items('q', 'g', ARRAY['0', '1', '2']::jsonb[]) GROUP BY run_id \gset
SELECT * FROM task_dispatch_successor(:i0, 'fold', 'next');
SELECT l.item_index, outcome FROM task_acquire_lease('q', 'w', max_tasks => 2) l, task_finalize(l.task_id, l.lease_token, CASE item_index WHEN 0 THEN 'completed' ELSE 'failed' END);
SELECT * FROM task_dispatch_successor(:i0, 'fold', 'next');
SELECT outcome FROM task_cancel(:i2);
-- Another step of the run: needed, absent and then not ended.
SELECT * FROM task_dispatch_successor(:i0, 'fold', 'next', needs => ARRAY['h']);
SELECT task_id AS h FROM task_create_items('q', 'h', ARRAY['0']::jsonb[], run_id => :run) \gset
SELECT * FROM task_dispatch_successor(:i0, 'fold', 'next', needs => ARRAY['g', 'h', 'h']);
SELECT outcome FROM task_cancel(:h);
SELECT outcome, successor_task_id AS s, siblings_remaining, completed, failed, cancelled FROM task_dispatch_successor(:i2, 'fold', 'next', '{"sum": true}', ARRAY['g', 'h', 'h']) \gset
SELECT :'outcome' AS outcome, :siblings_remaining AS siblings_remaining, :completed AS completed, :failed AS failed, :cancelled AS cancelled;
SELECT queue, name, state, payload, max_attempts, run_id = :run AS of_run FROM task_get(:s);
-- Once per (run, successor), from whichever task of the run.
SELECT outcome, successor_task_id = :s AS same_task FROM task_dispatch_successor(:i0, 'fold', 'next');
SELECT outcome, successor_task_id = :s AS same_task FROM task_dispatch_successor(:h, 'fold', 'next');
SELECT outcome, successor_task_id = :s AS same_task, siblings_remaining FROM task_dispatch_successor(:s, 'fold', 'next');
-- The successor is a step of the run: it can be waited for, and have successors.
SELECT outcome, siblings_remaining FROM task_dispatch_successor(:s, 'publish', 'next');
SELECT outcome FROM task_dispatch_successor(:i0, 'publish', 'next', needs => ARRAY['fold']);
SELECT outcome FROM task_cancel(:s);
SELECT outcome FROM task_dispatch_successor(:i0, 'publish', 'next', needs => ARRAY['fold']);
SELECT item_index, state FROM task_items(:run, 'publish');
-- The name of a group is taken.
\set VERBOSITY sqlstate
SELECT * FROM task_dispatch_successor(:i0, 'h', 'next');
\set VERBOSITY verbose

-- The built-in successor of a group is dispatched once, by whoever comes first.
SELECT run_id AS run, task_id AS i FROM task_create_items('q', 'g', ARRAY['0']::jsonb[], successor => 'built in') \gset
SELECT outcome, siblings_remaining FROM task_dispatch_successor(:i, 'built in', 'next');
SELECT outcome FROM task_cancel(:i);
SELECT d.outcome, d.successor_task_id = i.task_id AS same_task FROM task_dispatch_successor(:i, 'built in', 'next') d, task_items(:run, 'built in') i;
SELECT count(*) FROM baton.task WHERE run_id = :run AND name = 'built in';

SELECT * FROM task_dispatch_successor(:i, 's', 'nowhere');

SELECT * FROM baton_check(true);
