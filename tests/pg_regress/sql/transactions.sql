-- Every call is part of the caller's transaction: ROLLBACK, also to a savepoint, undoes all of it but the tokens drawn.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT task_id AS t FROM task_create('q', key => 'k') \gset

-- Acquire and roll back: the task is in line as before, the token is never handed out again.
BEGIN;
SELECT lease_token AS l1 FROM task_acquire_lease('q', 'w') \gset
SELECT state FROM task_get(:t);
ROLLBACK;
SELECT state, attempt, last_seq, owner FROM task_get(:t);
SELECT outcome FROM task_heartbeat(:t, :l1);
BEGIN;
SAVEPOINT s;
SELECT lease_token AS l2 FROM task_acquire_lease('q', 'w') \gset
-- Nothing else is in line: this looks through it to its end.
SELECT count(*) FROM task_acquire_lease('q', 'w');
ROLLBACK TO s;
SELECT lease_token AS l3 FROM task_acquire_lease('q', 'w') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w');
ROLLBACK TO s;
SELECT lease_token AS l4 FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT :l1 < :l2 AND :l2 < :l3 AND :l3 < :l4 AS tokens_grow;
-- A token works at once, a rolled-back one never.
SELECT outcome FROM task_start(:t, :l3);
SELECT outcome FROM task_start(:t, :l4);
COMMIT;
SELECT state, attempt, last_seq FROM task_get(:t);

-- Finalize and roll back.
BEGIN;
SELECT outcome FROM task_finalize(:t, :l4, 'completed', '1');
SELECT outcome FROM task_finalize(:t, :l4, 'completed', '1');
ROLLBACK;
SELECT state, result FROM task_get(:t);
SELECT outcome FROM task_finalize(:t, :l4, 'failed');

-- Create and roll back: key and place in line are free again; what comes after is found.
BEGIN;
SELECT outcome FROM task_create('q', '1', key => 'k2');
SELECT payload FROM task_acquire_lease('q', 'w');
SAVEPOINT s;
SELECT outcome FROM task_create('q', '2', priority => 7);
ROLLBACK TO s;
SELECT outcome FROM task_create('q', '3', priority => 7);
SELECT payload FROM task_acquire_lease('q', 'w');
ROLLBACK;
SELECT outcome FROM task_create('q', '4', key => 'k2', priority => 7);
SELECT payload FROM task_acquire_lease('q', 'w', max_tasks => 10);

-- A group whose successor was dispatched and rolled back.
SELECT run_id AS run, task_id AS i FROM task_create_items('q', 'g', ARRAY['1']::jsonb[], successor => 's') \gset
BEGIN;
SELECT outcome FROM task_cancel(:i);
SELECT name FROM task_acquire_lease('q', 'w');
ROLLBACK;
SELECT item_index, state FROM task_items(:run, 'g');
SELECT count(*) FROM task_items(:run, 's');
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT outcome FROM task_cancel(:i, force => true);
SELECT name FROM task_acquire_lease('q', 'w', max_tasks => 10);

-- A reap and due tasks that were rolled back are done again.
SELECT outcome FROM task_create('q', '"overdue"', key => 'o');
SELECT payload FROM task_acquire_lease('q', 'w', '100 ms');
SELECT outcome FROM task_create('q', '"due"', key => 'd', run_at => clock_timestamp() + interval '100 ms');
SELECT pg_sleep(0.12);
BEGIN;
SELECT outcome FROM task_reap();
SELECT outcome FROM task_reap();
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 10);
ROLLBACK TO s;
SELECT payload, attempt, lost_leases FROM task_acquire_lease('q', 'w', max_tasks => 10);
COMMIT;

-- A failed statement of the caller's undoes it, too.
BEGIN;
SELECT outcome FROM task_create('q', key => 'with a write beside it');
SELECT 1 / 0;
COMMIT;
SELECT count(*) FROM task_get_by_key('q', 'with a write beside it');
DO $$
BEGIN
    BEGIN
        PERFORM task_create('q', key => 'in a block');
        RAISE EXCEPTION 'no';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    PERFORM task_create('q', '2', key => 'in a block');
END $$;
SELECT payload FROM task_get_by_key('q', 'in a block');

-- Runs: started, moved on, paused, resumed, called off; and a definition.
SELECT queue_create('f', lease_ttl => '1 min');
CREATE FUNCTION seen(run_id bigint) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', g.state, g.checkpoint, g.metadata, g.counts, (SELECT string_agg(s.step || ' ' || s.state, ', ') FROM workflow_steps(run_id) s), (SELECT string_agg(e.seq || ' ' || e.kind, ', ') FROM workflow_events(run_id) e)) FROM workflow_get(run_id) g $$;
BEGIN;
SELECT workflow_define('flow', '{"steps": [{"name": "a", "queue": "f"}]}');
SELECT outcome FROM workflow_start('flow');
SELECT name FROM task_acquire_lease('f', 'w');
ROLLBACK;
SELECT outcome FROM workflow_start('flow');
SELECT count(*) FROM baton.workflow;
SELECT name FROM task_acquire_lease('f', 'w');
SELECT workflow_define('flow', '{"steps": [{"name": "a", "queue": "f"}, {"name": "b", "queue": "f", "needs": ["a"]}]}');
BEGIN;
SELECT outcome FROM workflow_start('flow', key => 'k');
SAVEPOINT s;
SELECT outcome FROM workflow_start('flow', '1', key => 'k');
ROLLBACK;
SELECT outcome, run_id AS r FROM workflow_start('flow', '1', key => 'k') \gset
BEGIN;
SELECT workflow_pause(:r, 'here'), workflow_annotate(:r, '{"a": 1}');
SELECT seen(:r);
SELECT count(*) FROM task_acquire_lease('f', 'w');
SAVEPOINT s;
SELECT workflow_resume(:r, 'here');
SELECT outcome FROM workflow_append_event(:r, 'note', dedup_key => 'once');
SELECT seen(:r);
SELECT count(*) FROM task_acquire_lease('f', 'w');
ROLLBACK TO s;
SELECT seen(:r);
ROLLBACK;
SELECT seen(:r);
BEGIN;
SELECT outcome, state FROM workflow_cancel(:r);
SELECT seen(:r);
ROLLBACK;
SELECT seen(:r);
BEGIN;
SELECT f.outcome FROM task_acquire_lease('f', 'w') l, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT seen(:r);
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT f.outcome FROM task_acquire_lease('f', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT name FROM task_acquire_lease('f', 'w');
ROLLBACK TO s;
SELECT f.outcome FROM task_acquire_lease('f', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
COMMIT;
SELECT seen(:r);
SELECT f.outcome FROM task_acquire_lease('f', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT seen(:r);

-- Slots: taken, handed on, added and taken away; each is where it was, and is found again.
SELECT queue_create('s');
CREATE FUNCTION usage() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', slot_key, 'holds', capacity || ',', holders, 'held,', waiters, 'wait' || CASE WHEN draining THEN ', drains' ELSE '' END), '; ' ORDER BY slot_key) FROM baton.slot_usage WHERE slot_key IS NOT NULL $$;
CREATE FUNCTION in_slots() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(name || ' ' || state, ', ' ORDER BY task_id) FROM task_list('s', '{ready,running,blocked,scheduled}') $$;
BEGIN;
SELECT slot_set('k', 1);
SELECT state FROM task_create('s', name => 'first', slot_keys => '{k}');
ROLLBACK;
SELECT outcome FROM task_create('s', slot_keys => '{k}');
SELECT slot_set('k', 2), slot_set('l', 1);
BEGIN;
SELECT state FROM task_create('s', name => 'never', slot_keys => '{k,l}');
SELECT usage();
SAVEPOINT s;
SELECT state FROM task_create('s', name => 'nor this', slot_keys => '{k}');
ROLLBACK TO s;
SELECT state FROM task_create('s', name => 'nor that', slot_keys => '{k}');
SELECT state FROM task_create('s', name => 'that waits', slot_keys => '{k}');
SELECT usage();
ROLLBACK;
SELECT usage();
SELECT n, state FROM generate_series(1, 4) n, task_create('s', to_jsonb(n), name => 't' || n, slot_keys => CASE WHEN n < 4 THEN '{k}' ELSE '{l,k}' END::text[]);
SELECT task_id AS t1, lease_token AS l1 FROM task_acquire_lease('s', 'w') \gset
BEGIN;
SELECT outcome FROM task_finalize(:t1, :l1, 'completed');
SELECT in_slots();
SAVEPOINT s;
SELECT f.outcome FROM task_acquire_lease('s', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT in_slots();
SELECT usage();
ROLLBACK TO s;
SELECT in_slots();
SELECT usage();
SELECT f.outcome FROM task_acquire_lease('s', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT in_slots();
ROLLBACK;
SELECT in_slots();
SELECT usage();
SELECT * FROM baton_check(true);
BEGIN;
SELECT outcome FROM task_release(:t1, :l1, '1 h');
SELECT in_slots();
ROLLBACK;
BEGIN;
SELECT slot_set('k', 4);
SELECT in_slots();
SAVEPOINT s;
SELECT slot_set('k', 1);
SELECT usage();
ROLLBACK TO s;
SELECT usage();
SAVEPOINT s;
SELECT c.outcome FROM task_list('s', '{ready}') l, task_cancel(l.task_id) c;
SELECT usage();
ROLLBACK TO s;
SELECT slot_set('k', 0);
SELECT c.outcome FROM task_list('s', '{ready}') l, task_cancel(l.task_id) c;
SELECT usage();
ROLLBACK;
SELECT in_slots();
SELECT usage();
SELECT outcome FROM task_finalize(:t1, :l1, 'completed');
SELECT in_slots();
SELECT name, f.outcome FROM task_acquire_lease('s', 'w', max_tasks => 10) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT name, f.outcome FROM task_acquire_lease('s', 'w', max_tasks => 10) l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT in_slots();
SELECT usage();
SELECT * FROM baton_check(true);

-- Compensations: registered, begun, gone through; nothing remains of what was rolled back, and the numbers are given again.
SELECT queue_create('c', max_attempts => 1);
SELECT task_id AS t FROM task_create('c', name => 'work') \gset
SELECT lease_token AS l FROM task_acquire_lease('c', 'w') \gset
CREATE FUNCTION undoing(t bigint) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(': ', state, (SELECT string_agg(concat_ws(' ', compensation_no, name, c.state), ', ' ORDER BY compensation_no) FROM task_compensations(t) c), last_seq) FROM task_get(t) $$;
BEGIN;
SELECT * FROM task_register_compensation(:t, :l, 'never', 'c');
ROLLBACK;
SELECT undoing(:t);
BEGIN;
SELECT * FROM task_register_compensation(:t, :l, 'first', 'c');
SAVEPOINT s;
SELECT * FROM task_register_compensation(:t, :l, 'never', 'c');
ROLLBACK TO s;
SELECT * FROM task_register_compensation(:t, :l, 'second', 'c');
COMMIT;
SELECT undoing(:t);
BEGIN;
SELECT outcome FROM task_finalize(:t, :l, 'failed');
SELECT undoing(:t);
SELECT name, f.outcome FROM task_acquire_lease('c', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SAVEPOINT s;
SELECT name, f.outcome FROM task_acquire_lease('c', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT undoing(:t);
ROLLBACK TO s;
SELECT undoing(:t);
SELECT name, f.outcome FROM task_acquire_lease('c', 'w') l, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT undoing(:t);
SELECT * FROM baton_check(true);
ROLLBACK;
SELECT undoing(:t);
SELECT count(*) FROM task_list('c');
SELECT * FROM baton_check(true);
SELECT outcome FROM task_finalize(:t, :l, 'failed', reason => 'for good');
BEGIN;
SELECT name, f.outcome FROM task_acquire_lease('c', 'w') l, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT undoing(:t);
ROLLBACK;
SELECT undoing(:t);
SELECT name, f.outcome FROM task_acquire_lease('c', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT name, f.outcome FROM task_acquire_lease('c', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT undoing(:t);
SELECT seq, kind FROM task_events(:t);
SELECT * FROM baton_check(true);

-- Each call sees what the ones before it did, also in one statement.
SELECT c.outcome, a.outcome, s.outcome, f.outcome, again.outcome, e.outcome
FROM task_create('q', '1') c, task_acquire_lease_by_id(c.task_id, 'w') a, task_start(c.task_id, a.lease_token) s,
     LATERAL (SELECT CASE WHEN s.outcome IS NOT NULL THEN a.lease_token END AS l) started, task_finalize(c.task_id, started.l, 'completed') f,
     LATERAL (SELECT CASE WHEN f.outcome IS NOT NULL THEN a.lease_token END AS l) ended, task_finalize(c.task_id, ended.l, 'completed') again,
     task_append_event(c.task_id, 'late', lease_token => ended.l) e;
SELECT c.outcome, p.pause, q.resume, x.outcome, again.outcome, e.outcome
FROM workflow_start('flow', key => 'one statement') c, LATERAL (SELECT workflow_pause(c.run_id, 'here') AS pause) p,
     LATERAL (SELECT CASE WHEN p.pause IS NOT NULL THEN workflow_resume(c.run_id, 'here') END AS resume) q,
     LATERAL (SELECT CASE WHEN q.resume IS NOT NULL THEN c.run_id END AS r) resumed, workflow_cancel(resumed.r) x,
     LATERAL (SELECT CASE WHEN x.outcome IS NOT NULL THEN c.run_id END AS r) ended, workflow_cancel(ended.r) again, workflow_append_event(ended.r, 'late') e;

-- Many in one transaction.
BEGIN;
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 1000);
SELECT count(*) FROM generate_series(1, 500) n, task_create('q', to_jsonb(n), priority => n % 5);
SELECT count(*), count(DISTINCT l.task_id) FROM generate_series(1, 600) n, LATERAL (SELECT * FROM task_acquire_lease('q', 'w' || n)) l;
COMMIT;
SELECT running, ready FROM baton.queue_stats WHERE queue = 'q';

SELECT * FROM baton_check(true);
