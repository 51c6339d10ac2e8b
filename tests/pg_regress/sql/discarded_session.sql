-- What poolers and drivers do to a session between two calls takes nothing from the calls: kept plans, opened tables and
-- remembered queues are found again or made anew.
SELECT queue_create('mail');
CREATE FUNCTION life(reset text) RETURNS TABLE (verb text, outcome text) LANGUAGE plpgsql AS $$
DECLARE
    task bigint; token bigint;
BEGIN
    RETURN QUERY SELECT 'create', c.outcome FROM task_create('mail', '{"to": "a"}', key => reset) c;
    EXECUTE reset;
    SELECT a.task_id, a.lease_token INTO task, token FROM task_acquire_lease('mail', 'one', '30 s') a;
    EXECUTE reset;
    RETURN QUERY SELECT 'heartbeat', h.outcome FROM task_heartbeat(task, token) h;
    EXECUTE reset;
    RETURN QUERY SELECT 'append_event', e.outcome FROM task_append_event(task, 'seen', '1', token) e;
    EXECUTE reset;
    RETURN QUERY SELECT 'finalize', f.outcome FROM task_finalize(task, token, 'completed') f;
    EXECUTE reset;
    RETURN QUERY SELECT 'dispatch_successor', d.outcome FROM task_dispatch_successor(task, 'after', 'mail') d;
    EXECUTE reset;
    RETURN QUERY SELECT 'successor', f.outcome FROM task_acquire_lease('mail', 'one') a, task_finalize(a.task_id, a.lease_token, 'completed') f;
END $$;
SELECT * FROM life('SELECT 1');
SELECT * FROM life('DISCARD PLANS');
SELECT * FROM life('DISCARD SEQUENCES');
SELECT * FROM life('DISCARD TEMP');
SELECT * FROM life('DEALLOCATE ALL');
SELECT * FROM life('RESET ALL');

-- DISCARD ALL is refused inside a transaction: one statement after the other.
SELECT outcome FROM task_create('mail', '{"to": "a"}', key => 'all');
DISCARD ALL;
SELECT task_id, lease_token FROM task_acquire_lease('mail', 'one', '30 s') \gset
DISCARD ALL;
SELECT outcome FROM task_heartbeat(:task_id, :lease_token);
DISCARD ALL;
SELECT outcome, seq FROM task_append_event(:task_id, 'seen', '1', :lease_token);
DISCARD ALL;
SELECT outcome FROM task_finalize(:task_id, :lease_token, 'completed');
DISCARD ALL;
SELECT outcome FROM task_dispatch_successor(:task_id, 'after', 'mail');
DISCARD ALL;

-- What asyncpg's pool does.
SELECT pg_advisory_unlock_all();
CLOSE ALL;
UNLISTEN *;
RESET ALL;
SELECT f.outcome FROM task_acquire_lease('mail', 'one') a, task_finalize(a.task_id, a.lease_token, 'completed') f;

-- A run, whose definition is remembered.
SELECT workflow_define('two', '{"steps": [{"name": "a", "queue": "mail"}, {"name": "b", "queue": "mail", "needs": ["a"]}]}');
SELECT outcome FROM workflow_start('two');
DISCARD ALL;
SELECT a.name, f.outcome FROM task_acquire_lease('mail', 'one') a, task_finalize(a.task_id, a.lease_token, 'completed') f;
DISCARD ALL;
SELECT a.name, f.outcome FROM task_acquire_lease('mail', 'one') a, task_finalize(a.task_id, a.lease_token, 'completed') f;
DISCARD ALL;

-- A role that was set is gone with the session's settings, and what it may do with it.
CREATE ROLE regress_worker;
SELECT baton_grant('regress_worker', 'work', 'mail');
SET ROLE regress_worker;
SELECT outcome FROM task_create('mail');
SELECT count(*) FROM task_acquire_lease('mail', 'one');
DISCARD ALL;
SELECT outcome FROM task_create('mail');
SELECT * FROM baton_check(true);
