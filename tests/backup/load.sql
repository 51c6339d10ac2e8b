-- There is work as long as this has a row.
CREATE TABLE loading AS SELECT true AS now;
-- What has ended when a copy begins.
CREATE TABLE known AS SELECT * FROM baton.task_done;
CREATE PROCEDURE know() LANGUAGE sql AS $$
    TRUNCATE public.known;
    INSERT INTO public.known SELECT * FROM baton.task_done $$;

-- Workers and those who give them work, while copies are made: each call a transaction of its own. An error ends it, and is a failure.
CREATE PROCEDURE loaded(who int) LANGUAGE plpgsql AS $$
DECLARE
    n int := 0;
    kind int;
    queues text[] := '{io,cpu,steps,failing,default,undo,due,ends,wide,late}';
    ids bigint[];
    tokens bigint[];
    queue text;
    i int;
BEGIN
    PERFORM setseed(who / 100.0);
    WHILE EXISTS (SELECT FROM loading) LOOP
        n := n + 1;
        PERFORM pg_sleep(0.01);
        kind := CASE WHEN n < 60 OR n % 7 = 0 THEN n % 6 END; -- (It must all be done in every copy.)
        CASE kind
        WHEN 0 THEN PERFORM task_create_items('cpu', 'group', array_fill('{}'::jsonb, '{6}'), max_parallel => 3, successor => 'joined', key => format('%s/%s', who, n));
        WHEN 1 THEN PERFORM workflow_start('breaks', key => format('%s/%s', who, n));
        WHEN 2 THEN PERFORM workflow_start(definition => '{"steps": [{"name": "list", "queue": "steps"},
                {"name": "each", "queue": "steps", "needs": ["list"], "with_items": "$.input", "max_parallel": 2, "compensate": {"queue": "undo"}},
                {"name": "end", "queue": "steps", "needs": ["each"], "slot_keys": ["license"]}]}', input => '[1, 2, 3, 4]', key => format('%s/%s', who, n));
        WHEN 3 THEN PERFORM task_create('io', key => format('%s/%s', who, n), slot_keys => '{host,license}', priority => n % 5);
        WHEN 4 THEN PERFORM task_create_many('late', array_fill('{}'::jsonb, '{3}'));
        ELSE NULL;
        END CASE;
        COMMIT;
        queue := queues[1 + floor(random() * 10)::int];
        SELECT array_agg(task_id), array_agg(lease_token) INTO ids, tokens FROM task_acquire_lease(queue, format('worker %s', who), '1 s', 5);
        COMMIT;
        FOR i IN 1 .. coalesce(cardinality(ids), 0) LOOP
            PERFORM task_append_event(ids[i], 'progress', to_jsonb(n), tokens[i]);
            COMMIT;
            CASE floor(random() * 10)::int
            WHEN 0 THEN PERFORM task_fail_attempt(ids[i], tokens[i], retry_after => '0.1 s');
            WHEN 1 THEN PERFORM task_release(ids[i], tokens[i]);
            WHEN 2 THEN
                IF queue <> 'undo' THEN
                    PERFORM task_register_compensation(ids[i], tokens[i], 'undo', 'undo');
                    COMMIT;
                END IF;
                PERFORM task_finalize(ids[i], tokens[i], 'failed');
            WHEN 3 THEN PERFORM task_heartbeat(ids[i], tokens[i], '2 s'); -- and its worker dies
            ELSE PERFORM task_finalize(ids[i], tokens[i], 'completed', to_jsonb(n));
            END CASE;
            COMMIT;
        END LOOP;
    END LOOP;
END $$;
