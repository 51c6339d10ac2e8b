-- task_redrive, queue_redrive: what ended badly is done again, once, as a new task.

SELECT queue_create('ends');
SELECT queue_create('q', lease_ttl => '1 h', max_attempts => 4, on_final_queue => 'ends');
-- A task that ended in this state, with everything on it that may be copied or not.
CREATE FUNCTION ended(how text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE t bigint; l bigint;
BEGIN
    SELECT c.task_id INTO t FROM task_create('q', jsonb_build_object('work', how), name => 'n ' || how, key => how, priority => 3, max_attempts => 2, metadata => '{"team": "billing"}') c;
    SELECT a.lease_token INTO l FROM task_acquire_lease_by_id(t, 'w') a;
    PERFORM task_fail_attempt(t, l, retry_after => '0');
    SELECT a.lease_token INTO l FROM task_acquire_lease_by_id(t, 'w') a;
    PERFORM task_start(t, l), task_append_event(t, 'note', NULL, l);
    PERFORM task_finalize(t, l, how, '"result"', '"error"');
    RETURN t;
END $$;

-- not_found, not_terminal (in each state), completed.
SELECT * FROM task_redrive(999999999);
SELECT * FROM task_redrive(0);
SELECT key, outcome FROM unnest(ARRAY['scheduled', 'running', 'ready']) key, task_create('q', key => key, run_at => CASE key WHEN 'scheduled' THEN clock_timestamp() + interval '1 h' END);
SELECT count(*) FROM task_acquire_lease('q', 'w');
SELECT t.state, r.* FROM task_list('q') t, task_redrive(t.task_id) r ORDER BY 1;
SELECT c.outcome FROM task_list('q') t, task_cancel(t.task_id, force => true) c;
SELECT r.* FROM ended('completed') t, task_redrive(t) r;

-- failed, quarantined, cancelled: a new task, in line, with the old one's payload, name, priority, metadata and max_attempts;
-- without its key, with clean counts.
SELECT ended('failed') AS t \gset
SELECT outcome FROM task_annotate(:t, '{"reviewed": true}');
SELECT to_jsonb(g) AS before FROM task_get(:t) g \gset
SELECT outcome, task_id AS n, task_id > :t AS newer FROM task_redrive(:t) \gset
SELECT :'outcome' AS outcome, :'newer' AS newer;
SELECT redrive_of = :t AS linked, queue, state, payload, name, priority, max_attempts, metadata, key FROM task_get(:n);
SELECT attempt, lost_leases, reason, run_at, owner, lease_token, leased_at, started_at, cancel_requested_at, result, error, run_id, item_index, last_seq, finalized_at, created_at > (SELECT finalized_at FROM task_get(:t)) AS created_later FROM task_get(:n);
SELECT count(*) FROM task_events(:n);
SELECT count(*) FROM task_annotations(:n);
-- The old one stays as it is, and keeps its key.
SELECT to_jsonb(g) = :'before' AS as_it_was, redrive_of FROM task_get(:t) g;
SELECT task_id = :t AS has_the_key FROM task_get_by_key('q', 'failed');
SELECT outcome, task_id = :t AS same FROM task_create('q', '{"work": "failed"}', key => 'failed');
-- A replay: the same new task, whatever has become of it.
SELECT outcome, task_id = :n AS same FROM task_redrive(:t);
SELECT * FROM task_redrive(:n);
SELECT payload, attempt, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT :'payload' AS payload, :attempt AS attempt;
SELECT outcome, task_id = :n AS same FROM task_redrive(:t);
SELECT * FROM task_redrive(:n);
SELECT f.outcome, f.state FROM task_get(:n) t, task_finalize(t.task_id, t.lease_token, 'failed') f;
SELECT outcome, task_id = :n AS same FROM task_redrive(:t);
-- A redrive may be redriven: a chain of links.
SELECT outcome, task_id AS n2 FROM task_redrive(:n) \gset
SELECT :'outcome' AS outcome, redrive_of = :n AS linked, priority, name, metadata FROM task_get(:n2);
SELECT f.outcome FROM task_acquire_lease_by_id(:n2, 'w') l, task_finalize(:n2, l.lease_token, 'completed') f;
SELECT * FROM task_redrive(:n2);
SELECT outcome, task_id = :n2 AS same FROM task_redrive(:n);
SELECT how, r.outcome FROM unnest(ARRAY['quarantined', 'cancelled']) how, ended(how) t, task_redrive(t) r;
SELECT g.payload, g.state FROM unnest(ARRAY['quarantined', 'cancelled']) how, task_get_by_key('q', how) t, task_redrive(t.task_id) r, task_get(r.task_id) g;
-- A new end is told again.
SELECT count(*) FROM task_list('ends') t, task_get(t.task_id) g WHERE g.payload -> 'task_id' = to_jsonb(:n);
-- One that was cancelled before it began: its time to run is not waited for again.
SELECT task_id AS t FROM task_create('q', run_at => clock_timestamp() + interval '1 h') \gset
SELECT outcome FROM task_cancel(:t);
SELECT r.outcome, r.task_id AS n FROM task_redrive(:t) r \gset
SELECT state, run_at FROM task_get(:n);

-- Undone with its transaction.
SELECT task_id AS t FROM task_create('q') \gset
SELECT outcome FROM task_cancel(:t);
BEGIN;
SELECT outcome FROM task_redrive(:t);
SELECT outcome FROM task_redrive(:t);
ROLLBACK;
SELECT count(*) FROM task_list('q') WHERE redrive_of = :t;
SELECT outcome FROM task_redrive(:t);
SELECT count(*) FROM task_list('q') WHERE redrive_of = :t;

-- What tells of an end is done again as what tells of it: its own end is told to nobody, in a queue that has somebody to tell.
SELECT queue_create('elsewhere');
SELECT queue_alter('ends', on_final_queue => 'elsewhere');
SELECT key AS of, task_id AS o, lease_token AS l FROM task_acquire_lease('ends', 'w') \gset
SELECT outcome, dispatched FROM task_finalize(:o, :l, 'failed');
SELECT outcome, task_id AS o2 FROM task_redrive(:o) \gset
SELECT :'outcome' AS outcome, name, key, payload = (SELECT payload FROM task_get(:o)) AS same_payload FROM task_get(:o2);
SELECT f.outcome, f.dispatched FROM task_acquire_lease_by_id(:o2, 'w') l, task_finalize(:o2, l.lease_token, 'failed') f;
SELECT count(*) FROM task_list('elsewhere');
SELECT * FROM baton_check(true);

-- A task of a run has its place there, whatever has become of the run. Precedence: completed, then the run.
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', '{0,1,2}'::jsonb[], successor => 'after') \gset
SELECT r.* FROM task_items(:run, 'g', -1, 1) i, task_redrive(i.task_id) r;
SELECT f.outcome FROM task_items(:run, 'g') i, task_acquire_lease_by_id(i.task_id, 'w') l, task_finalize(i.task_id, l.lease_token, (ARRAY['failed', 'completed', 'cancelled'])[1 + item_index]) f;
SELECT i.item_index, i.state, r.* FROM task_items(:run, 'g') i, task_redrive(i.task_id) r;
SELECT f.outcome FROM task_list(run_id => :run, name => 'after') t, task_acquire_lease_by_id(t.task_id, 'w') l, task_finalize(t.task_id, l.lease_token, 'failed') f;
SELECT r.* FROM task_list(run_id => :run, name => 'after') t, task_redrive(t.task_id) r;
SELECT count(*) FROM task_list(run_id => :run);
-- A successor of a task that is in no run stands alone.
SELECT outcome, successor_task_id AS s FROM task_dispatch_successor((SELECT task_id FROM task_get_by_key('q', 'completed')), 'then', 'q') \gset
SELECT outcome FROM task_cancel(:s);
SELECT outcome FROM task_redrive(:s);
SELECT outcome, successor_task_id = :s AS same FROM task_dispatch_successor((SELECT task_id FROM task_get_by_key('q', 'completed')), 'then', 'q');

-- A paused queue takes it; a dropped one does not; one that was created again does.
SELECT queue_create('p');
SELECT task_id AS t FROM task_create('p') \gset
SELECT outcome FROM task_cancel(:t);
SELECT task_id AS t2 FROM task_create('p', priority => -5) \gset
SELECT outcome FROM task_cancel(:t2);
SELECT queue_pause('p');
SELECT outcome FROM task_redrive(:t);
SELECT state, redrive_of IS NULL AS old FROM task_list('p') ORDER BY task_id;
SELECT count(*) FROM task_acquire_lease('p', 'w');
SELECT outcome FROM task_redrive(:t);
SELECT c.outcome FROM task_list('p', '{ready}') t, task_cancel(t.task_id) c;
SELECT queue_drop('p');
SELECT * FROM task_redrive(:t2);
SELECT outcome FROM task_redrive(:t);
SELECT * FROM queue_redrive('p');
SELECT queue_create('p');
SELECT outcome FROM task_redrive(:t2);
SELECT priority FROM task_acquire_lease('p', 'w') l, task_get(l.task_id);

-- queue_redrive: failed and quarantined ones unless asked otherwise, oldest first.
SELECT queue_create('many');
SELECT count(f.outcome) FROM task_create_many('many', array_fill('{}'::jsonb, ARRAY[12])) c, task_acquire_lease_by_id(c.task_id, 'w') l, task_finalize(c.task_id, l.lease_token, (ARRAY['completed', 'failed', 'cancelled', 'quarantined'])[1 + c.ordinal % 4]) f;
SELECT DISTINCT run_id AS run FROM task_create_items('many', 'g', '{0,1}'::jsonb[]) \gset
SELECT count(f.outcome) FROM task_items(:run, 'g') i, task_acquire_lease_by_id(i.task_id, 'w') l, task_finalize(i.task_id, l.lease_token, 'failed') f;
CREATE FUNCTION nth(task_id bigint) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM task_list(''many'') t WHERE t.task_id < $1 AND redrive_of IS NULL';
SELECT nth(task_id) AS task, lag(new_task_id) OVER () < new_task_id AS in_order FROM queue_redrive('many', max_tasks => 4);
SELECT nth(t.task_id) AS task, t.state, n.state AS now FROM task_list('many') n JOIN task_list('many') t ON t.task_id = n.redrive_of ORDER BY n.task_id;
SELECT nth(task_id) AS task FROM queue_redrive('many');
SELECT * FROM queue_redrive('many');
-- What stands alone, was not redriven, and is not completed; items of a group are passed over.
SELECT nth(task_id) AS task FROM queue_redrive('many', '{cancelled}');
SELECT nth(task_id) AS task FROM queue_redrive('many', '{cancelled,failed,compensated,quarantined}');
SELECT redrive_of IS NOT NULL AS new, state, count(*) FROM task_list('many') GROUP BY 1, 2 ORDER BY 1, 2;
-- One by one and by the queue, none is redriven twice.
SELECT outcome, count(*) FROM task_list('many', '{failed,quarantined,cancelled}') t, task_redrive(t.task_id) GROUP BY outcome ORDER BY outcome;

-- Batches: who goes on after the last task of the one before does not meet again what has failed again meanwhile.
SELECT queue_create('batches');
SELECT count(f.outcome) FROM task_create_many('batches', '{0,1,2,3,4}') c, task_acquire_lease_by_id(c.task_id, 'w') l, task_finalize(c.task_id, l.lease_token, 'failed') f;
SELECT max(task_id) AS last, count(*) FROM queue_redrive('batches', after_task_id => 0, max_tasks => 2) \gset
SELECT :count AS batch, array_agg(payload ORDER BY task_id) AS payloads FROM task_list('batches', '{ready}') t, LATERAL (SELECT payload FROM task_get(t.task_id)) g;
SELECT f.outcome FROM task_acquire_lease('batches', 'w', max_tasks => 10) l, task_finalize(l.task_id, l.lease_token, 'failed') f;
SELECT max(task_id) AS last, count(*) FROM queue_redrive('batches', NULL, :last, 2) \gset
SELECT :count AS batch, array_agg(payload ORDER BY task_id) AS payloads FROM task_list('batches', '{ready}') t, LATERAL (SELECT payload FROM task_get(t.task_id)) g;
SELECT max(task_id) AS last, count(*) FROM queue_redrive('batches', NULL, :last, 1) \gset
SELECT :count AS batch, array_agg(payload ORDER BY task_id) AS payloads FROM task_list('batches', '{ready}') t, LATERAL (SELECT payload FROM task_get(t.task_id)) g;
SELECT count(*) FROM queue_redrive('batches', NULL, 9223372036854775807);
SELECT count(*) FROM queue_redrive('batches', NULL, -1);
SELECT count(*) FROM queue_redrive('batches');
-- Undone whole.
SELECT c.outcome FROM task_list('batches', '{ready}') t, task_cancel(t.task_id) c;
BEGIN;
SELECT count(*) FROM queue_redrive('batches', '{cancelled}');
SELECT count(*) FROM queue_redrive('batches', '{cancelled}');
ROLLBACK;
SELECT count(*) FROM queue_redrive('batches', '{cancelled}');
-- The queue "default" before its first use; a paused queue.
SELECT * FROM queue_redrive('default');
SELECT outcome FROM task_create('default', key => 'k');
SELECT outcome FROM task_get_by_key('default', 'k') t, task_cancel(t.task_id);
SELECT queue_pause('default');
SELECT count(*) FROM queue_redrive(queue => 'default', states => '{cancelled}', after_task_id => 0, max_tasks => 1000);
SELECT ready FROM baton.queue_stats WHERE queue = 'default';

-- Errors.
SELECT * FROM task_redrive(NULL);
SELECT * FROM queue_redrive(NULL);
SELECT * FROM queue_redrive('nowhere');
SELECT * FROM queue_redrive('');
SELECT * FROM queue_redrive('many', '{failed,completed}');
SELECT * FROM queue_redrive('many', '{ready}');
SELECT * FROM queue_redrive('many', ARRAY[NULL]::text[]);
SELECT * FROM queue_redrive('many', '{{failed},{cancelled}}');
SELECT * FROM queue_redrive('many', '{}');
SELECT * FROM queue_redrive('many', after_task_id => NULL);
SELECT * FROM queue_redrive('many', max_tasks => NULL);
SELECT * FROM queue_redrive('many', max_tasks => 0);
SELECT * FROM queue_redrive('many', max_tasks => 1001);

SELECT * FROM baton_check(true);
