-- Results do not depend on the caller's settings: the same story under the defaults and under hostile ones.

CREATE FUNCTION story(q text) RETURNS TABLE (step int, answer text) LANGUAGE plpgsql AS $$
DECLARE t bigint; t2 bigint; l bigint; r bigint; ids bigint[]; tokens bigint[];
BEGIN
    PERFORM queue_create(q, lease_ttl => interval '90 seconds', backoff_base => interval '10 seconds', max_attempts => 2);
    RETURN QUERY SELECT 1, string_agg(outcome || ' ' || state, ', ') FROM (SELECT c.* FROM generate_series(1, 30) n, task_create(q, jsonb_build_object('n', n, 'pi', 3.14159265358979, 'text', E'back\\slash \u00e4'), priority => n % 3, run_at => CASE WHEN n % 10 = 0 THEN clock_timestamp() + interval '1 hour' END) c) c;
    RETURN QUERY SELECT 2, string_agg(payload ->> 'n', ' ') FROM task_acquire_lease(q, 'w', max_tasks => 5);
    RETURN QUERY SELECT 3, string_agg((payload ->> 'n') || ' ' || (lease_expires_at - clock_timestamp() BETWEEN interval '80 s' AND interval '90 s'), ' ') FROM task_acquire_lease(q, 'w', max_tasks => 3);
    SELECT a.task_id, a.lease_token INTO t, l FROM task_acquire_lease(q, 'w', interval '5 seconds') a;
    RETURN QUERY SELECT 4, payload::text FROM task_get(t);
    RETURN QUERY SELECT 5, concat_ws(' ', (SELECT outcome FROM task_start(t, l)), (SELECT outcome FROM task_heartbeat(t, l, '10 min')), (SELECT outcome FROM task_append_event(t, 'note', '{"a": [1, 2.50]}', l, 'd')), (SELECT outcome FROM task_append_event(t, 'note', '1', l, 'd')));
    RETURN QUERY SELECT 6, string_agg(outcome || ' ' || first_seq || ' ' || last_seq, ' ') FROM task_append_events(t, ARRAY['a', 'b'], ARRAY['1', NULL]::jsonb[], l, ARRAY['x', NULL]);
    RETURN QUERY SELECT 7, f.outcome || ' ' || f.state || ' ' || (f.run_at > clock_timestamp()) FROM task_fail_attempt(t, l, '{"e": 1e2}') f;
    RETURN QUERY SELECT 8, f.outcome || ' ' || f.state FROM task_fail_attempt(t, l) f;
    RETURN QUERY SELECT 9, string_agg(concat_ws(' ', e.seq, e.kind, CASE WHEN e.kind = 'retry_scheduled' THEN e.body - 'run_at' ELSE e.body END), ', ') FROM task_events(t) e;
    SELECT DISTINCT run_id INTO r FROM task_create_items(q, 'g', ARRAY['10', '20', '30', '40']::jsonb[], max_parallel => 2, successor => 'fold', key => q || ' g');
    RETURN QUERY SELECT 10, outcome || ' ' || state FROM task_create_items(q, 'g', ARRAY['10', '20', '30', '40']::jsonb[], key => q || ' g');
    FOR i IN 1..4 LOOP
        SELECT array_agg(a.task_id), array_agg(a.lease_token) INTO ids, tokens FROM task_acquire_lease(q, 'w', max_tasks => 100) a;
        EXIT WHEN ids IS NULL;
        RETURN QUERY SELECT 10 + i, string_agg(f.ordinal || ' ' || f.outcome || ' ' || f.state, ', ') FROM task_finalize_many(ids, tokens, array_fill('completed'::text, ARRAY[cardinality(ids)]), array_fill('1.50'::jsonb, ARRAY[cardinality(ids)])) f;
    END LOOP;
    RETURN QUERY SELECT 15, string_agg(concat_ws(' ', i.item_index, i.state, i.result), ', ') FROM task_items(r, 'g') i;
    RETURN QUERY SELECT 16, string_agg(i.state, ', ') FROM task_items(r, 'fold') i;
    SELECT c.task_id INTO t FROM task_create(q, key => 'cancel me') c;
    RETURN QUERY SELECT 17, concat_ws(' ', c.outcome, c.state, d.outcome, d.cancelled) FROM task_cancel(t, 'reason') c, task_dispatch_successor(CASE WHEN c.outcome IS NOT NULL THEN t END, 'then', q) d;
    RETURN QUERY SELECT 18, concat_ws(' ', g.state, g.reason, g.key, g.attempt, g.finalized_at IS NOT NULL) FROM task_get_by_key(q, 'cancel me') g;
    SELECT c.task_id INTO t2 FROM task_create(q, key => 'expires') c;
    RETURN QUERY SELECT 19, a.outcome FROM task_acquire_lease_by_id(t2, 'w', '100 ms') a;
    PERFORM pg_sleep(0.12);
    RETURN QUERY SELECT 20, string_agg(p.outcome, ' ') FROM task_reap(10, q) p;
    RETURN QUERY SELECT 21, concat_ws(' ', s.scheduled, s.blocked, s.ready, s.running) FROM baton.queue_stats s WHERE s.queue = q;
    RETURN QUERY SELECT 22, count(*)::text FROM baton_check(true);
    -- Ends that are told of, annotations, redrives, lists, a pause, a dead owner, a purge.
    PERFORM queue_create(q || ' ends', max_attempts => 9);
    PERFORM queue_alter(q, on_final_queue => q || ' ends', on_final_states => '{cancelled,failed,quarantined}');
    SELECT c.task_id INTO t FROM task_create(q, '{"f": 2.50}', name => 'redriven', priority => 9, metadata => '{"a": 1.50}') c;
    RETURN QUERY SELECT 23, (SELECT outcome FROM task_annotate(t, '{"b": [1e2, "\u00e4"]}')) || (SELECT outcome FROM task_annotate(t, '{"a": 1.5}')) || (SELECT outcome FROM task_annotate(t, '{"a": null}', 1));
    RETURN QUERY SELECT 24, string_agg(concat_ws(' ', a.role, a.metadata, a.at <= clock_timestamp()), ', ') FROM task_annotations(t) a;
    RETURN QUERY SELECT 25, concat_ws(' ', c.outcome, c.state) FROM task_cancel(t, 'why') c;
    RETURN QUERY SELECT 26, concat_ws(' ', n.name, n.state, n.max_attempts, n.payload - '{task_id,queue}'::text[], n.payload ->> 'task_id' = t::text, n.payload ->> 'queue' = q) FROM task_get_by_key(q || ' ends', t::text) n;
    SELECT d.task_id INTO t2 FROM task_redrive(t) d;
    RETURN QUERY SELECT 27, concat_ws(' ', g.state, g.payload, g.metadata, g.name, g.priority, g.redrive_of = t) FROM task_get(t2) g;
    RETURN QUERY SELECT 28, concat_ws(' ', d.outcome, d.task_id = t2) FROM task_redrive(t) d;
    RETURN QUERY SELECT 29, string_agg(concat_ws(' ', l.name, l.state, l.metadata), ', ') FROM task_list(q, '{cancelled,ready,failed}', max_tasks => 4) l;
    RETURN QUERY SELECT 30, string_agg(l.state, ' ') FROM task_list(q, before_task_id => t, max_tasks => 3) l;
    RETURN QUERY SELECT 31, string_agg(concat_ws(' ', l.name, l.item_index), ', ') FROM task_list(run_id => r) l;
    PERFORM queue_pause(q);
    RETURN QUERY SELECT 32, count(*) || ' ' || (SELECT outcome FROM task_acquire_lease_by_id(t2, 'w')) FROM task_acquire_lease(q, 'w');
    PERFORM queue_resume(q);
    RETURN QUERY SELECT 33, a.outcome FROM task_acquire_lease_by_id(t2, q || ' dead') a;
    PERFORM queue_alter(q, on_lost => 'fail');
    RETURN QUERY SELECT 34, string_agg(concat_ws(' ', p.outcome, p.task_id = t2), ', ') FROM task_reap_owner(q || ' dead', 9007199254740991, 'gone') p;
    RETURN QUERY SELECT 35, string_agg(concat_ws(' ', l.name, l.state, l.reason), ', ') FROM task_list(q, '{failed,cancelled}') l;
    RETURN QUERY SELECT 36, count(*) || ' ' || count(g.redrive_of) FROM queue_redrive(q, max_tasks => 1) d LEFT JOIN LATERAL task_get(d.task_id) g ON true;
    RETURN QUERY SELECT 37, concat_ws(' ', p.tasks, p.events, p.more) FROM baton_purge('0', 3, q, '{cancelled}') p;
    RETURN QUERY SELECT 38, concat_ws(' ', p.tasks, p.events, p.more) FROM baton_purge('0', 100, q) p;
    RETURN QUERY SELECT 39, count(*)::text FROM task_list(q);
    -- A run: paths that compare times and numbers, items with a bound, a checkpoint, a failure that pauses it, a redrive.
    PERFORM queue_create(q || ' run', lease_ttl => interval '90 seconds', max_attempts => 1);
    RETURN QUERY SELECT 40, concat_ws(' ', workflow_define(q, d), workflow_define(q, d)) FROM (SELECT replace($d${"on_error": "pause", "max_parallel": 2, "steps": [
        {"name": "each", "queue": "Q", "with_items": "$.input.items[*] ? (@.at.datetime() < \"2024-03-01T02:00:00+05:45\".datetime())", "max_parallel": 3, "payload": {"n": "$.item.n", "i": "$.item_index", "pi": 3.1400, "all": "$.input.items[*].n"}, "max_runtime": "1 day 02:03:04"},
        {"name": "ä\\b", "queue": "Q", "needs": ["each"], "if": "$.steps.each.result[*] > 2.5", "payload": "$.steps.each", "checkpoint": "c", "priority": 3},
        {"name": "never", "queue": "Q", "needs": ["each"], "if": "$.input.items[0].at.datetime() > \"2024-02-29T22:00:00+00:00\".datetime()"},
        {"name": "alert", "queue": "Q", "needs": ["ä\\b"], "when": "failed"},
        {"name": "last", "queue": "Q", "needs": ["ä\\b", "never", "alert"], "when": "done"}]}$d$, '"Q"', to_json(q || ' run')::text)::jsonb) w (d);
    SELECT s.run_id INTO r FROM workflow_start(q, '{"items": [{"n": 1.50, "at": "2024-02-29T21:00:00+01:00"}, {"n": 2, "at": "2024-02-29T23:30:00+00:00"}, {"n": 3e2, "at": "2024-03-01T01:00:00+05:45"}, {"n": 4, "at": "2024-01-01T00:00:00+00:00"}]}', key => 'k') s;
    RETURN QUERY SELECT 41, concat_ws(' ', s.outcome, s.run_id = r) FROM workflow_start(q, '{"items": []}', key => 'k') s;
    RETURN QUERY SELECT 42, string_agg(concat_ws(' ', i.item_index, i.state, g.payload), ', ') FROM task_items(r, 'each') i, task_get(i.task_id) g;
    FOR i IN 1..3 LOOP
        SELECT array_agg(a.task_id), array_agg(a.lease_token) INTO ids, tokens FROM task_acquire_lease(q || ' run', 'w', max_tasks => 2) a;
        EXIT WHEN ids IS NULL;
        RETURN QUERY SELECT 42 + i, string_agg(concat_ws(' ', f.outcome, g.item_index), ', ') FROM unnest(ids, tokens) u (id, token), task_get(u.id) g, task_finalize(u.id, u.token, CASE g.item_index WHEN 1 THEN 'failed' ELSE 'completed' END, g.payload -> 'n') f;
    END LOOP;
    RETURN QUERY SELECT 46, concat_ws(' ', g.state, g.checkpoint, g.checkpoint_detail #- '{failed,0,task_id}', g.counts) FROM workflow_get(r) g;
    RETURN QUERY SELECT 47, string_agg(d.outcome, ', ') FROM task_list(run_id => r, states => '{failed}') l, task_redrive(l.task_id) d;
    RETURN QUERY SELECT 48, concat_ws(' ', workflow_resume(r, 'c'), workflow_resume(r, 'on_error'));
    FOR i IN 1..2 LOOP
        SELECT array_agg(a.task_id), array_agg(a.lease_token) INTO ids, tokens FROM task_acquire_lease(q || ' run', 'w', max_tasks => 2) a;
        EXIT WHEN ids IS NULL;
        RETURN QUERY SELECT 48 + i, string_agg(concat_ws(' ', f.outcome, g.item_index), ', ') FROM unnest(ids, tokens) u (id, token), task_get(u.id) g, task_finalize(u.id, u.token, 'completed', g.payload -> 'n') f;
    END LOOP;
    RETURN QUERY SELECT 51, concat_ws(' ', g.state, g.checkpoint, g.counts, workflow_resume(r, 'c')) FROM workflow_get(r) g;
    RETURN QUERY SELECT 52, string_agg(concat_ws(' ', l.name, l.state, g.payload, g.priority), ', ') FROM task_list(run_id => r, states => '{ready,blocked}') l, task_get(l.task_id) g;
    FOR i IN 1..2 LOOP
        SELECT array_agg(a.task_id), array_agg(a.lease_token) INTO ids, tokens FROM task_acquire_lease(q || ' run', 'w', max_tasks => 2) a;
        EXIT WHEN ids IS NULL;
        RETURN QUERY SELECT 52 + i, string_agg(concat_ws(' ', f.outcome, g.name), ', ') FROM unnest(ids, tokens) u (id, token), task_get(u.id) g, task_finalize(u.id, u.token, 'completed', '1.50') f;
    END LOOP;
    RETURN QUERY SELECT 55, string_agg(concat_ws(' ', s.step, s.state, s.needs, s.total, s.completed, s.failed, s.result), ', ') FROM workflow_steps(r) s;
    RETURN QUERY SELECT 56, string_agg(concat_ws(' ', e.seq, e.kind, e.body - '{name,task_ids}'::text[]), ', ') FROM workflow_events(r) e;
    RETURN QUERY SELECT 57, concat_ws(' ', g.state, g.counts, g.result, workflow_annotate(r, '{"a": 1.50}')) FROM workflow_get(r) g;
    RETURN QUERY SELECT 58, string_agg(trim(line), ', ') FROM regexp_split_to_table(workflow_mermaid(r), chr(10)) line WHERE line ~ ':::|--[^-]|-[.]-';
    RETURN QUERY SELECT 59, concat_ws(' ', p.state, p.version, p.steps, p.steps_ended, p.tasks, p.completed, p.failed, p.cancelled) FROM baton.workflow_progress p WHERE p.run_id = r;
    SELECT s.run_id INTO r FROM workflow_start(q, '{"items": [{"n": 1, "at": "2024-01-01T00:00:00+00:00"}, {"n": 2, "at": "2024-01-01T00:00:00+00:00"}]}') s;
    PERFORM task_acquire_lease(q || ' run', 'w');
    RETURN QUERY SELECT 60, concat_ws(' ', workflow_pause(r, 'by hand', '1.50'), (SELECT c.outcome || ' ' || c.state FROM workflow_cancel(r, 'why') c), (SELECT c.outcome || ' ' || c.state FROM workflow_cancel(r, running => 'force') c));
    RETURN QUERY SELECT 61, concat_ws(' ', p.tasks, p.events, p.more) FROM baton_purge('0', 100, q || ' run') p;
    RETURN QUERY SELECT 62, count(*)::text FROM baton_check(true);
    -- Slots: all or none, priority and age, a key that is raised and lowered, a step with slot keys.
    PERFORM queue_create(q || ' slots', lease_ttl => interval '90 seconds', max_attempts => 9), slot_set(q || ' k', 1), slot_set(q || ' l', 2);
    RETURN QUERY SELECT 63, string_agg(concat_ws(' ', n, c.outcome, c.state), ', ' ORDER BY n) FROM generate_series(1, 7) n, task_create(q || ' slots', to_jsonb(n), key => n::text, priority => CASE n WHEN 7 THEN 1 ELSE 0 END, slot_keys => CASE n % 3 WHEN 0 THEN ARRAY[q || ' k'] WHEN 1 THEN ARRAY[q || ' k', q || ' l'] ELSE ARRAY[q || ' l'] END) c;
    RETURN QUERY SELECT 64, string_agg(concat_ws(' ', u.slot_key = q || ' k', u.run_id, u.step, u.capacity, u.holders, u.waiters, u.draining), ', ' ORDER BY u.slot_key) FROM baton.slot_usage u WHERE u.slot_key LIKE q || ' _';
    FOR i IN 1..7 LOOP
        SELECT array_agg(a.task_id), array_agg(a.lease_token) INTO ids, tokens FROM task_acquire_lease(q || ' slots', 'w', max_tasks => 2) a;
        EXIT WHEN ids IS NULL;
        -- (One after the other by key, and not while they are gathered: 16 and later sort before they gather.)
        RETURN QUERY SELECT 64 + i, string_agg(one, ', ') FROM (SELECT concat_ws(' ', g.key, CASE
                WHEN g.key = '2' AND g.attempt = 1 THEN (SELECT f.outcome || ' ' || f.state FROM task_fail_attempt(u.id, u.token, retry_after => interval '0') f)
                WHEN g.key = '3' THEN (SELECT f.outcome FROM task_release(u.id, u.token, '1 hour') f)
                ELSE (SELECT f.outcome || ' ' || cardinality(f.dispatched) FROM task_finalize(u.id, u.token, 'completed') f) END) AS one
            FROM unnest(ids, tokens) u (id, token), task_get(u.id) g ORDER BY g.key) each;
        IF i = 2 THEN PERFORM slot_set(q || ' k', 2); ELSIF i = 3 THEN PERFORM slot_set(q || ' l', 1); END IF;
    END LOOP;
    RETURN QUERY SELECT 72, string_agg(concat_ws(' ', l.key, l.state, replace(array_to_string(l.slot_keys, ' '), q, '')), ', ' ORDER BY l.key) FROM task_list(q || ' slots') l;
    RETURN QUERY SELECT 73, string_agg(concat_ws(' ', u.capacity, u.holders, u.waiters, u.draining), ', ' ORDER BY u.slot_key) FROM baton.slot_usage u WHERE u.slot_key LIKE q || ' _';
    SELECT s.run_id INTO r FROM workflow_start(definition => replace($d${"max_parallel": 3, "steps": [
        {"name": "a", "queue": "Q slots", "with_items": "$.input", "max_parallel": 2, "slot_keys": ["Q k"]}, {"name": "b", "queue": "Q slots", "priority": 2, "with_items": "$.input", "slot_keys": ["Q l", "Q k"]}]}$d$, '"Q ', '"' || q || ' ')::jsonb, input => '[0, 1, 2]') s;
    RETURN QUERY SELECT 74, string_agg(concat_ws(' ', l.name, l.item_index, l.state), ', ' ORDER BY l.name, l.item_index) FROM task_list(run_id => r) l;
    PERFORM workflow_pause(r, 'here');
    RETURN QUERY SELECT 75, count(*)::text FROM task_acquire_lease(q || ' slots', 'w', max_tasks => 10);
    RETURN QUERY SELECT 76, string_agg(concat_ws(' ', u.step, u.capacity, u.holders, u.waiters), ', ' ORDER BY u.slot_key, u.step) FROM baton.slot_usage u WHERE u.slot_key LIKE q || ' _' OR u.run_id = r;
    PERFORM workflow_resume(r, 'here');
    RETURN QUERY SELECT 77, string_agg(concat_ws(' ', l.name, l.item_index, l.state), ', ' ORDER BY l.name, l.item_index) FROM task_list(run_id => r) l;
    FOR i IN 1..7 LOOP
        SELECT array_agg(a.task_id), array_agg(a.lease_token) INTO ids, tokens FROM task_acquire_lease(q || ' slots', 'w', max_tasks => 2) a;
        EXIT WHEN ids IS NULL;
        RETURN QUERY SELECT 77 + i, string_agg(concat_ws(' ', g.name, g.item_index, f.outcome), ', ' ORDER BY g.name, g.item_index) FROM unnest(ids, tokens) u (id, token), task_get(u.id) g, task_finalize(u.id, u.token, 'completed') f;
    END LOOP;
    RETURN QUERY SELECT 85, concat_ws(' ', g.state, g.counts) FROM workflow_get(r) g;
    RETURN QUERY SELECT 86, concat_ws(' ', p.tasks, p.more) FROM baton_purge('0', 100, q || ' slots') p;
    -- Sagas: of a task, and of a run.
    PERFORM queue_create(q || ' saga', lease_ttl => interval '90 seconds', max_attempts => 1), queue_create(q || ' undo', max_attempts => 1);
    SELECT c.task_id INTO t FROM task_create(q || ' saga') c;
    SELECT a.lease_token INTO l FROM task_acquire_lease_by_id(t, 'w') a;
    RETURN QUERY SELECT 87, string_agg(concat_ws(' ', c.outcome, c.compensation_no), ', ' ORDER BY n) FROM unnest(ARRAY['1.50', '1.50', '1.5', '{"b": 1e2, "ä": 1}', '{"ä": 1, "b": 100}']::jsonb[]) WITH ORDINALITY p (payload, n), task_register_compensation(t, l, 'undo', q || ' undo', payload) c;
    RETURN QUERY SELECT 88, concat_ws(' ', f.outcome, f.state, cardinality(f.dispatched)) FROM task_finalize(t, l, 'failed', '2.50', '{"e": 1e2}', 'why') f;
    RETURN QUERY SELECT 89, concat_ws(' ', f.outcome, f.state) FROM task_finalize(t, l, 'failed', '2.5', '{"e": 100}', 'why') f;
    RETURN QUERY SELECT 90, concat_ws(' ', f.outcome, f.state, c.outcome, c.state) FROM task_finalize(t, l, 'failed', '2.51') f, task_cancel(t) c;
    FOR i IN 1..2 LOOP
        RETURN QUERY SELECT 90 + i, concat_ws(' ', a.name, a.payload, a.metadata - 'compensates', (a.metadata ->> 'compensates') = t::text, f.outcome) FROM task_acquire_lease(q || ' undo', 'w') a, task_finalize(a.task_id, a.lease_token, 'completed') f;
    END LOOP;
    RETURN QUERY SELECT 93, concat_ws(' ', g.state, g.reason, g.result, g.error) FROM task_get(t) g;
    RETURN QUERY SELECT 94, string_agg(concat_ws(' ', c.compensation_no, c.name, c.state, c.error), ', ' ORDER BY c.compensation_no) FROM task_compensations(t) c;
    RETURN QUERY SELECT 95, string_agg(concat_ws(' ', e.seq, e.kind, CASE WHEN e.kind <> 'leased' THEN e.body - '{task_id,queue}'::text[] END), ', ') FROM task_events(t) e;
    SELECT s.run_id INTO r FROM workflow_start(definition => replace($d${"steps": [
        {"name": "a", "queue": "Q saga", "payload": {"at": "$.input.at"}, "compensate": {"queue": "Q undo", "payload": {"pi": 3.1400, "result": "$.task.result", "later": "$.input.at.datetime() > \"2024-02-29T22:00:00+00:00\".datetime()", "of": "$.steps.a.state", "payload": "$.task.payload"}}},
        {"name": "b", "queue": "Q saga", "needs": ["a"]}]}$d$, '"Q ', '"' || q || ' ')::jsonb, input => '{"at": "2024-03-01T01:00:00+05:45"}') s;
    RETURN QUERY SELECT 96, concat_ws(' ', a.name, f.outcome) FROM task_acquire_lease(q || ' saga', 'w') a, task_finalize(a.task_id, a.lease_token, 'completed', '1.50') f;
    RETURN QUERY SELECT 97, concat_ws(' ', a.name, c.outcome, f.outcome, f.state) FROM task_acquire_lease(q || ' saga', 'w') a, task_register_compensation(a.task_id, a.lease_token, 'undo b', q || ' undo') c, task_fail_attempt(a.task_id, a.lease_token, '"no"') f;
    RETURN QUERY SELECT 98, concat_ws(' ', a.name, a.payload, f.outcome) FROM task_acquire_lease(q || ' undo', 'w') a, task_finalize(a.task_id, a.lease_token, 'completed') f;
    RETURN QUERY SELECT 99, concat_ws(' ', g.state, g.counts, c.outcome, c.state) FROM workflow_get(r) g, workflow_cancel(r) c;
    RETURN QUERY SELECT 100, concat_ws(' ', a.name, a.payload, f.outcome, f.state) FROM task_acquire_lease(q || ' undo', 'w') a, task_fail_attempt(a.task_id, a.lease_token, '"cannot"') f;
    RETURN QUERY SELECT 101, concat_ws(' ', g.state, g.counts) FROM workflow_get(r) g;
    RETURN QUERY SELECT 102, string_agg(concat_ws(' ', c.step, c.item_index, c.compensation_no, c.name, c.state, c.error), ', ' ORDER BY c.of_task_id) FROM workflow_compensations(r) c;
    RETURN QUERY SELECT 103, string_agg(concat_ws(' ', e.seq, e.kind, e.body - '{name,task_id,task_ids,of_task_id,queue}'::text[]), ', ') FROM workflow_events(r) e;
    RETURN QUERY SELECT 104, concat_ws(' ', p.tasks, p.more) FROM baton_purge('0', 100, q || ' undo') p;
    RETURN QUERY SELECT 105, concat_ws(' ', p.tasks, p.more) FROM baton_purge('0', 100, q || ' saga') p;
    RETURN QUERY SELECT 106, count(*)::text FROM baton_check(true);
END $$;

CREATE TABLE told AS SELECT 'default'::text AS settings, * FROM story('default settings');
SELECT step, answer FROM told ORDER BY step;

-- Each in a new session: before the first call plans anything.
\c
SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kathmandu'; SET IntervalStyle = 'sql_standard'; SET extra_float_digits = -15; SET bytea_output = 'escape';
SET standard_conforming_strings = off; SET backslash_quote = on; SET escape_string_warning = off; SET array_nulls = off; SET transform_null_equals = on; SET quote_all_identifiers = on; SET xmloption = document;
INSERT INTO told SELECT 'formats', * FROM story('formats');
\c
SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off; SET enable_nestloop = off; SET enable_material = off; SET enable_memoize = off; SET plan_cache_mode = force_custom_plan; SET work_mem = '64kB'; SET jit = on; SET jit_above_cost = 0; SET geqo_threshold = 2; SET join_collapse_limit = 1; SET from_collapse_limit = 1; SET cursor_tuple_fraction = 0; SET random_page_cost = 1e6;
INSERT INTO told SELECT 'no index', * FROM story('no index');
\c
-- (its name changed in 16)
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \gset
SET enable_seqscan = off; SET enable_sort = off; SET enable_hashagg = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 4; SET constraint_exclusion = on; SET default_statistics_target = 1;
INSERT INTO told SELECT 'no sort', * FROM story('no sort');
\c
SET default_transaction_isolation = 'serializable'; SET default_transaction_deferrable = on; SET synchronous_commit = off; SET row_security = off; SET check_function_bodies = off; SET idle_in_transaction_session_timeout = '1 min'; SET lock_timeout = '1 min'; SET statement_timeout = '1 min'; SET search_path = public;
INSERT INTO told SELECT 'serializable', * FROM story('serializable');
\c
SET default_transaction_isolation = 'repeatable read'; SET session_replication_role = replica; SET track_activities = off; SET stats_fetch_consistency = none; SET client_min_messages = error; SET default_table_access_method = heap; SET temp_buffers = '800kB'; SET commit_delay = 0; SET debug_pretty_print = off; SET lc_numeric = 'C'; SET lc_messages = 'C';
INSERT INTO told SELECT 'repeatable read', * FROM story('repeatable read');
\c
-- What differs from the story under the defaults.
SELECT settings, count(*) FROM told GROUP BY settings ORDER BY settings;
SELECT t.settings, t.step, t.answer FROM told t WHERE NOT EXISTS (SELECT FROM told d WHERE d.settings = 'default' AND (d.step, d.answer) IS NOT DISTINCT FROM (t.step, t.answer)) ORDER BY t.settings, t.step;

-- A caller's own settings are as they were, after an answer and after an error.
SET enable_seqscan = off; SET jit = on; SET search_path = public, pg_temp; SET synchronous_commit = off;
SELECT outcome FROM task_create('default') c;
SELECT * FROM task_create('nowhere');
SELECT name, setting FROM pg_settings WHERE name IN ('enable_seqscan', 'enable_sort', 'enable_bitmapscan', 'jit', 'search_path', 'synchronous_commit') ORDER BY name;
-- Acquire and what ends a lease wait for their flush; only until the transaction's end, and only if that is asked for.
BEGIN;
SELECT outcome FROM task_create('default');
SHOW synchronous_commit;
SELECT count(*) FROM task_acquire_lease('default', 'w');
SHOW synchronous_commit;
COMMIT;
SHOW synchronous_commit;
BEGIN;
SELECT f.outcome FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') f WHERE l.queue = 'default';
SHOW synchronous_commit;
COMMIT;
-- So does a dispatch: nobody else is ever told the same.
BEGIN;
SELECT d.outcome FROM (SELECT max(task_id) AS task_id FROM baton.task_done) t, task_dispatch_successor(t.task_id, 'once', 'default') d;
SHOW synchronous_commit;
COMMIT;
SET pg_baton.durable_finalize = off;
BEGIN;
SELECT count(*) FROM task_acquire_lease('default', 'w');
SHOW synchronous_commit;
COMMIT;
RESET pg_baton.durable_finalize;
SET synchronous_commit = local;
BEGIN;
SELECT f.outcome FROM baton.leases l, task_finalize(l.task_id, l.lease_token, 'completed') f WHERE l.queue = 'default';
SHOW synchronous_commit;
COMMIT;
RESET ALL;

-- What is written down does not depend on the caller's time zone.
RESET ALL;
SET TimeZone = 'Asia/Kathmandu';
SELECT task_id AS t FROM task_create('default') \gset
SELECT lease_token AS l FROM task_acquire_lease_by_id(:t, 'w') \gset
SELECT outcome FROM task_release(:t, :l, '1 h');
SELECT body ->> 'run_at' LIKE '%T%+00:00' AS in_utc, (body ->> 'run_at')::timestamptz = run_at AS same
FROM task_events(:t) e, task_get(:t) WHERE kind = 'released';

SELECT * FROM baton_check(true);
