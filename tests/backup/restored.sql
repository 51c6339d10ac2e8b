-- What a copy answers right after it was made.
SELECT 'broken', * FROM baton_check(true);
-- (A dump of it would not have these.)
SELECT 'not registered', oid::regclass FROM pg_class
 WHERE relnamespace = 'baton'::regnamespace AND relkind IN ('r', 'p', 'S', 'm') AND oid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'pg_baton')::oid[]);
SELECT 'default', lease_ttl, max_attempts, on_lost FROM baton.queue WHERE name = 'default';

-- The leases are honoured: they are theirs who had them, and nobody else's.
SELECT what, h.outcome, h.cancel_requested, a.outcome, a.state
  FROM kept k, task_heartbeat(k.task_id, k.lease_token, '2 hours') h, task_acquire_lease_by_id(k.task_id, 'another') a WHERE what <> 'soon' ORDER BY what;
SELECT what, a.outcome, a.held_by FROM kept k, task_acquire_lease_by_id(k.task_id, 'another') a WHERE what = 'soon';
SELECT count(*) FROM unnest('{held,soon}'::text[]) queue, task_acquire_lease(queue, 'another');
-- What was said is said again; keys are taken.
SELECT what, f.outcome, f.state FROM kept k, task_finalize(k.task_id, k.lease_token, 'completed', '"whole"') f WHERE what = 'ended';
SELECT what, f.outcome, f.state FROM kept k, task_finalize(k.task_id, k.lease_token, 'failed', error => '"declined"') f
 WHERE what LIKE 'trip%' AND what <> 'trip under way' ORDER BY what;
SELECT outcome, state FROM task_create('again', key => 'taken');
SELECT outcome FROM workflow_start('breaks', key => 'breaks 1');
SELECT d.outcome FROM task_get_by_key('again', 'by hand') t, task_dispatch_successor(t.task_id, 'by hand', 'io') d;
SELECT r.outcome FROM task_get_by_key('redriven', 'failed 1') t, task_redrive(t.task_id) r;

-- Ids and tokens are greater than any in it.
CREATE TEMP TABLE greatest AS
    SELECT greatest((SELECT max(lease_token) FROM baton.task_live), (SELECT max(lease_token) FROM baton.task_done),
                    (SELECT max(lease_token) FROM baton.event)) AS token,
           greatest((SELECT max(task_id) FROM baton.task), (SELECT max(step_id) FROM baton.step), (SELECT max(run_id) FROM baton.run)) AS id;
SELECT l.task_id AS t, l.lease_token AS k, l.lease_token > g.token AS token, l.task_id > g.id AS id FROM greatest g, leased('again', 'at ' || clock_timestamp()) l \gset
SELECT :'token', :'id', outcome FROM task_finalize(:t, :k, 'completed');

-- Roles may do what they might.
CREATE FUNCTION pg_temp.tried(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE query INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SELECT role, tried.* FROM unnest('{backup_member,backup_stranger,"Backup \"operator\""}'::text[]) role,
    LATERAL (SELECT set_config('role', role, false)) r,
    LATERAL (SELECT pg_temp.tried('SELECT outcome FROM public.task_create(''tenant 1'', key => ''at ' || clock_timestamp() || ''')' || left(r::text, 0)) AS created,
                    pg_temp.tried('SELECT count(*) FROM public.task_acquire_lease(''tenant 2'', ''me'')' || left(r::text, 0)) AS of_others,
                    pg_temp.tried('SELECT count(*) FROM baton.queue_stats' || left(r::text, 0)) AS seen,
                    pg_temp.tried('SELECT count(*) FROM baton.task' || left(r::text, 0)) AS read) tried;
RESET role;
