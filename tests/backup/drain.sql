-- Workers come back with the leases they had; others take what there is, until there is nothing left. Who had the lease that ran out is too late.
SELECT what, h.outcome FROM kept k, task_heartbeat(k.task_id, k.lease_token) h WHERE what = 'soon';
SELECT what, f.outcome, f.state
  FROM kept k, task_get(k.task_id) t, task_finalize(k.task_id, k.lease_token, CASE WHEN what LIKE 'trip%' THEN 'failed' ELSE 'completed' END) f
 WHERE t.state = 'running' ORDER BY what;
SELECT slot_set('closed', 1), slot_set('host', 500), slot_set('license', 500);
SELECT count(queue_resume(queue)::text) FROM baton.queue_stats WHERE paused;

DO $$
DECLARE
    run record;
    named text;
    ids bigint[];
    tokens bigint[];
    idle boolean;
    until timestamptz := clock_timestamp() + interval '1 min';
BEGIN
    LOOP
        idle := true;
        FOR run IN SELECT run_id, checkpoint FROM baton.workflow_progress WHERE state = 'paused' LOOP
            PERFORM workflow_resume(run.run_id, run.checkpoint);
            COMMIT;
        END LOOP;
        FOREACH named IN ARRAY ARRAY(SELECT queue FROM baton.queue_stats ORDER BY queue COLLATE "C") LOOP
            SELECT array_agg(task_id), array_agg(lease_token) INTO ids, tokens FROM task_acquire_lease(named, 'worker', '10 s', 1000);
            COMMIT;
            CONTINUE WHEN ids IS NULL;
            PERFORM task_finalize_many(ids, tokens, array_fill('completed'::text, ARRAY[cardinality(ids)]));
            COMMIT;
            idle := false;
        END LOOP;
        -- (What is far ahead stays.)
        EXIT WHEN NOT EXISTS (SELECT FROM baton.task_live WHERE state > 0 OR run_at < clock_timestamp() + interval '1 day') OR clock_timestamp() > until;
        PERFORM pg_sleep(0.05) WHERE idle; -- leases run out, attempts become due
    END LOOP;
END $$;
