-- The life of a task, in an empty database: what must work wherever the extension was installed. It ends with an error unless all is as it should be.
CREATE EXTENSION pg_baton;

DO $$
DECLARE
    task bigint;
    token bigint;
    heard text[];
BEGIN
    SELECT task_id INTO STRICT task FROM task_create('default', '{"n": 20}', key => 'first');
    SELECT lease_token INTO STRICT token FROM task_acquire_lease('default', 'package') WHERE task_id = task AND payload = '{"n": 20}';
    SELECT ARRAY[h.outcome] INTO heard FROM task_heartbeat(task, token, '5 min') AS h;
    heard := heard || (SELECT outcome FROM task_append_event(task, 'progress', '{"percent": 50}', token));
    heard := heard || (SELECT outcome FROM task_finalize(task, token, 'completed', '{"double": 40}'));
    heard := heard || (SELECT state FROM task_get(task)) || (SELECT kind FROM task_events(task) ORDER BY seq DESC LIMIT 1);
    IF heard IS DISTINCT FROM '{extended,appended,finalized,completed,final}' THEN
        RAISE EXCEPTION 'the life of a task went otherwise: %', heard;
    END IF;
    IF EXISTS (SELECT FROM baton_check(true)) THEN
        RAISE EXCEPTION 'an invariant is broken: %', (SELECT c FROM baton_check(true) AS c LIMIT 1);
    END IF;
END
$$;

SELECT extversion FROM pg_extension WHERE extname = 'pg_baton';
