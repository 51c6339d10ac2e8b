-- baton.slot_usage: a row a slot key, with what it bounds, how many hold a slot of it, how many wait for one, and whether it drains. A role sees the keys that tasks of its queues have used, and counts of its own tasks only.

SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'baton' AND table_name = 'slot_usage' ORDER BY ordinal_position;
SELECT queue_create('q', lease_ttl => '1 h');
SELECT queue_create('r', lease_ttl => '1 h');
SELECT * FROM baton.slot_usage;

-- Keys with a name: nobody, some, as many as there are, more.
SELECT slot_set('idle', 3), slot_set('busy', 2), slot_set('closed', 0);
SELECT outcome, state FROM task_create('q', name => 'q1', slot_keys => '{busy}');
SELECT * FROM baton.slot_usage ORDER BY slot_key;
SELECT outcome, state FROM task_create('q', name => 'q2', slot_keys => '{busy,closed}');
SELECT outcome, state FROM task_create('r', name => 'r1', slot_keys => '{busy}');
SELECT outcome, state FROM task_create('r', name => 'r2', slot_keys => '{busy}');
SELECT outcome, state FROM task_create('r', name => 'r3', slot_keys => '{busy}', run_at => clock_timestamp() + '1 h');
-- Each waiter waits for one key at a time, and holds none; who is scheduled is not counted.
SELECT * FROM baton.slot_usage ORDER BY slot_key;
SELECT slot_set('busy', 1);
SELECT * FROM baton.slot_usage WHERE slot_key = 'busy';
SELECT f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT * FROM baton.slot_usage WHERE slot_key = 'busy';

-- What bounds a step and a run has no name: its run and, of a step, the step's name.
SELECT run_id AS run FROM workflow_start(definition => '{"max_parallel": 3, "steps": [{"name": "s", "queue": "q", "with_items": "$.input", "max_parallel": 2, "slot_keys": ["idle"]}, {"name": "t", "queue": "r", "slot_keys": ["busy", "idle"]}]}', input => '[1, 2, 3, 4]') \gset
SELECT slot_key, run_id = :run AS of_run, step, capacity, holders, waiters, draining FROM baton.slot_usage ORDER BY slot_key, step;
SELECT DISTINCT run_id AS group FROM task_create_items('q', 'items', '{1,2,3}'::jsonb[], max_parallel => 1) \gset
SELECT slot_key, run_id = :group AS of_run, step, capacity, holders, waiters, draining FROM baton.slot_usage WHERE run_id = :group;
SELECT workflow_pause(:run, 'here');
SELECT slot_key, run_id = :run AS of_run, step, capacity, holders, waiters, draining FROM baton.slot_usage ORDER BY slot_key, run_id, step;
SELECT workflow_resume(:run, 'here');
SELECT slot_key, run_id = :run AS of_run, step, capacity, holders, waiters, draining FROM baton.slot_usage ORDER BY slot_key, run_id, step;

-- Who sees what: nothing without a capability; the keys that tasks of one's queues have ever used, and one's own tasks in them.
CREATE ROLE regress_nobody;
CREATE ROLE regress_producer;
CREATE ROLE regress_of_q;
CREATE ROLE regress_of_r;
CREATE ROLE regress_of_both;
CREATE ROLE regress_observer;
SELECT baton_grant('regress_producer', 'produce'), baton_grant('regress_of_q', 'work', 'q'), baton_grant('regress_of_r', 'observe', 'r'), baton_grant('regress_of_both', 'observe', 'q'), baton_grant('regress_of_both', 'work', 'r'), baton_grant('regress_observer', 'observe');
CREATE VIEW seen AS SELECT slot_key, run_id IS NOT NULL AS in_run, step, capacity, holders, waiters, draining FROM baton.slot_usage ORDER BY slot_key, run_id, step;
ALTER VIEW seen SET (security_invoker = true);
GRANT SELECT ON seen TO PUBLIC;
SET ROLE regress_nobody;
SELECT * FROM seen;
SET ROLE regress_producer;
SELECT * FROM seen;
SET ROLE regress_of_q;
SELECT * FROM seen;
SET ROLE regress_of_r;
SELECT * FROM seen;
SET ROLE regress_of_both;
SELECT * FROM seen;
SET ROLE regress_observer;
SELECT * FROM seen;
RESET ROLE;
-- Used once, it stays in sight.
SELECT c.outcome FROM task_list('r', states => '{scheduled,blocked,ready}') t, task_cancel(t.task_id) c WHERE t.run_id IS NULL;
SELECT t.state, c.outcome FROM task_create('r', slot_keys => '{closed}') t, task_cancel(t.task_id) c;
SET ROLE regress_of_r;
SELECT * FROM seen;
RESET ROLE;

-- A bound goes with its run when that is purged; a key with a name stays.
SELECT workflow_cancel(:run), workflow_cancel(:group);
SELECT slot_key, run_id IN (:run, :group) AS of_these, step, capacity, holders, waiters, draining FROM baton.slot_usage ORDER BY slot_key, run_id, step;
SELECT more FROM baton_purge('0');
SELECT * FROM baton.slot_usage ORDER BY slot_key;

SELECT * FROM baton_check(true);
