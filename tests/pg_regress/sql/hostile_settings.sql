-- Every setting that a caller may set, a superuser's among them, at each of its ends: what is answered and stored does not
-- change, or the call fails as a whole with the server's own word. (First plans, formats and isolation levels: settings.sql.)

SELECT slot_set('key', 2);
CREATE FUNCTION story(q text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE t bigint; l bigint; r bigint; said text[];
BEGIN
    PERFORM queue_create(q, lease_ttl => '90 s', max_attempts => 2, backoff_base => '10 s');
    said := said || (SELECT string_agg(c.outcome || c.state, ' ') FROM generate_series(1, 9) n, task_create(q, jsonb_build_object('n', n, 'pi', 3.1400, 'text', U&'\00e4\\'), key => 'k' || n, priority => n % 3, slot_keys => CASE WHEN n > 5 THEN '{key}'::text[] END) c);
    said := said || (SELECT string_agg(payload::text, ' ') FROM task_acquire_lease(q, 'w', max_tasks => 3));
    SELECT a.task_id, a.lease_token INTO t, l FROM task_acquire_lease(q, 'w', '1 h') a;
    said := said || (SELECT outcome FROM task_heartbeat(t, l, '2 h')) || (SELECT outcome || seq FROM task_append_event(t, 'note', '{"a": [1, 2.50]}', l, 'd')) || (SELECT outcome || seq FROM task_append_event(t, 'note', '1', l, 'd'));
    said := said || (SELECT outcome FROM task_annotate(t, '{"b": [1e2]}', l)) || (SELECT outcome FROM task_register_compensation(t, l, 'undo', q)) || (SELECT f.outcome || f.state FROM task_finalize(t, l, 'failed', '1.50', '{"e": 1}', 'why') f) || (SELECT f.outcome FROM task_finalize(t, l, 'failed', '1.5', '{"e": 1}', 'why') f);
    said := said || (SELECT string_agg(concat_ws(' ', i.key, f.outcome), ' ') FROM task_acquire_lease(q, 'w', max_tasks => 9) i, task_finalize(i.task_id, i.lease_token, 'completed') f);
    SELECT s.run_id INTO r FROM workflow_start(key => q, input => '{"local": "2024-02-29T23:00:00", "items": [{"n": 1.50, "at": "2024-02-29T21:00:00+01:00"}, {"n": 2, "at": "2024-02-29T23:30:00+00:00"}, {"n": 3, "at": "2024-03-01T01:00:00+05:45"}]}', definition => replace($d${"steps": [
        {"name": "a", "queue": "Q", "with_items": "$.input.items[*] ? (@.at.datetime() < \"2024-03-01T02:00:00+05:45\".datetime())", "max_parallel": 1, "payload": {"n": "$.item.n"}, "max_runtime": "1 day 02:03:04"},
        {"name": "b", "queue": "Q", "needs": ["a"], "if": "$.steps.a.result[*] > 1.2", "payload": "$.steps.a"}, {"name": "c", "queue": "Q", "needs": ["a"], "if": "$.input.local.datetime() > \"2024-02-29T22:00:00+00:00\".datetime()"}]}$d$, '"Q"', to_json(q)::text)::jsonb) s;
    FOR i IN 1..6 LOOP
        said := said || (SELECT string_agg(concat_ws(' ', a.name, a.item_index, a.payload, f.outcome, cardinality(f.dispatched)), ' ') FROM task_acquire_lease(q, 'w') a, task_finalize(a.task_id, a.lease_token, 'completed', a.payload -> 'n') f);
    END LOOP;
    said := said || (SELECT concat_ws(' ', g.state, g.counts, g.result) FROM workflow_get(r) g) || (SELECT string_agg(concat_ws(' ', s.step, s.state, s.total, s.completed, s.result), ' ') FROM workflow_steps(r) s) || (SELECT string_agg(e.seq || e.kind, ' ') FROM workflow_events(r) e);
    said := said || (SELECT concat_ws(' ', g.state, g.result, g.error, g.metadata, g.lease_expires_at IS NULL) FROM task_get(t) g) || (SELECT string_agg(e.seq || e.kind, ' ') FROM task_events(t) e) || (SELECT string_agg(concat_ws(' ', l.key, l.state), ' ') FROM task_list(q, '{running,failed,compensated}') l);
    said := said || (SELECT concat_ws(' ', s.ready, s.running, s.live_leases) FROM baton.queue_stats s WHERE s.queue = q) || (SELECT concat_ws(' ', u.holders, u.waiters) FROM baton.slot_usage u WHERE u.slot_key = 'key');
    RETURN array_to_string(said, '; ');
END $$;

-- The story under one setting, with every plan made anew if it is one of the planner's; all of it undone.
CREATE FUNCTION under(setting text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE said text;
BEGIN
    IF setting IN (SELECT name FROM pg_settings WHERE category ~ '^Query Tuning') THEN DISCARD PLANS; END IF;
    PERFORM set_config(setting, value, true);
    said := story('q');
    RAISE SQLSTATE 'ZZ000';
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN RETURN said;
WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT under('application_name', 'defaults') AS story \gset
\pset format unaligned
SELECT unnest(string_to_array(:'story', '; ')) AS story;
\pset format aligned
-- What only says what is logged or counted, ends the session, is fixed for it, belongs to other programs, or is tested below.
CREATE VIEW tried AS
SELECT name, value FROM pg_settings, unnest(CASE vartype WHEN 'bool' THEN ARRAY[CASE setting WHEN 'on' THEN 'off' ELSE 'on' END] WHEN 'enum' THEN enumvals WHEN 'string' THEN NULL ELSE ARRAY[min_val, max_val] END) value
WHERE context IN ('user', 'superuser') AND value <> setting AND name !~ '^(log_|trace_|debug_print|debug_pretty|debug_discard|client_min|transaction_|pg_baton)' AND category !~ '^(Reporting|Statistics|Vacuuming|Autovacuum|Customized)'
  AND name NOT IN ('statement_timeout', 'lock_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'default_transaction_read_only', 'max_stack_depth', 'post_auth_delay', 'zero_damaged_pages', 'ignore_checksum_failure', 'exit_on_error');
SELECT count(*) > 150 AS many FROM tried;
SELECT name, value, story FROM (SELECT name, value, under(name, value) AS story FROM tried OFFSET 0) t WHERE story <> :'story' ORDER BY name, value;
-- All the planner's settings at their lower, then at their upper ends at once.
CREATE FUNCTION under_all(upper boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE s record; said text;
BEGIN
    DISCARD PLANS;
    FOR s IN SELECT name, vartype, min_val, max_val, enumvals FROM pg_settings WHERE category ~ '^Query Tuning' AND context IN ('user', 'superuser') AND vartype <> 'string' LOOP
        PERFORM set_config(s.name, CASE s.vartype WHEN 'bool' THEN upper::text WHEN 'enum' THEN s.enumvals[CASE WHEN upper THEN cardinality(s.enumvals) ELSE 1 END] ELSE CASE WHEN upper THEN s.max_val ELSE s.min_val END END, true);
    END LOOP;
    said := story('q');
    RAISE SQLSTATE 'ZZ000';
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN RETURN said;
END $$;
SELECT under_all(false) = :'story' AS lower, under_all(true) = :'story' AS upper;
-- Texts: encodings, time zones, collations of messages, formats; some of them wrong.
SELECT name, value, under(name, value) = :'story' AS same FROM (VALUES ('client_encoding', 'SQL_ASCII'), ('client_encoding', 'LATIN1'), ('client_encoding', 'SJIS'), ('TimeZone', 'Asia/Kathmandu'), ('TimeZone', '-15:59'), ('DateStyle', 'German, DMY'), ('DateStyle', 'SQL, YMD'),
    ('timezone_abbreviations', 'India'), ('lc_messages', 'POSIX'), ('lc_monetary', 'C'), ('lc_numeric', 'C'), ('lc_time', 'C'), ('temp_tablespaces', ''), ('default_tablespace', 'pg_default'), ('default_table_access_method', 'heap'), ('session_preload_libraries', 'nothing_there'), ('dynamic_library_path', '/nowhere'),
    ('xmlbinary', 'hex'), ('default_text_search_config', 'simple'), ('local_preload_libraries', 'nothing'), ('application_name', E'\x27; DROP TABLE baton.task; --')) v (name, value) ORDER BY 1, 2;
-- Time limits: the call ends with the server's word, and nothing of it stays; not even when it had waited for somebody.
SELECT queue_create('q', lease_ttl => '1 h');
SELECT task_id AS t FROM task_create('q', key => 'held') \gset
BEGIN;
SELECT outcome FROM task_cancel(:t);
PREPARE TRANSACTION 'regress_baton';
SET lock_timeout = '20 ms';
SELECT outcome FROM task_cancel(:t);
SELECT outcome FROM task_annotate(:t, '{}');
SELECT outcome FROM task_create('q', '{"other": 1}', key => 'held');
SELECT count(*) FROM task_acquire_lease('q', 'w');
RESET lock_timeout;
SET statement_timeout = '20 ms';
SELECT outcome FROM task_cancel(:t);
RESET statement_timeout;
ROLLBACK PREPARED 'regress_baton';
SELECT state, last_seq FROM task_get(:t);
\set VERBOSITY sqlstate
SET statement_timeout = '1 ms';
SELECT count(*) FROM task_create_items('q', 'g', array_fill('1'::jsonb, ARRAY[20000]));
SET statement_timeout = '20 ms';
SELECT count(*) FROM task_create_items('q', 'g', array_fill('1'::jsonb, ARRAY[20000]));
SET statement_timeout = '40 ms';
SELECT count(*) FROM task_create_items('q', 'g', array_fill('1'::jsonb, ARRAY[20000]));
RESET statement_timeout;
\set VERBOSITY verbose
SELECT count(*) AS of_the_group FROM baton.task WHERE run_id IS NOT NULL;
SET max_stack_depth = '100kB';
SELECT outcome FROM task_create('q');
RESET max_stack_depth;
-- Transactions that only read, are deferrable, or have begun with another word.
SET default_transaction_read_only = on;
SELECT outcome FROM task_create('q');
SELECT count(*) FROM task_get(:t);
SELECT count(*) FROM baton_check();
RESET default_transaction_read_only;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT count(*) FROM task_get(:t);
SELECT outcome FROM task_heartbeat(:t, 1);
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE;
SELECT outcome FROM task_create('q', key => 'serializable');
SET TRANSACTION READ ONLY;
SELECT outcome FROM task_create('q');
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM task_get_by_key('q', 'serializable');
\set VERBOSITY sqlstate
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
\set VERBOSITY verbose
ROLLBACK;
-- The settings of ours: a superuser's only, also for a database, a role and a function.
CREATE ROLE regress_user;
SELECT current_database() AS regression \gset
SET ROLE regress_user;
SET pg_baton.durable_finalize = off;
ALTER ROLE regress_user SET pg_baton.max_payload_bytes = '64MB';
CREATE FUNCTION pg_temp.raised() RETURNS text LANGUAGE sql SET pg_baton.max_payload_bytes = '64MB' AS 'SELECT ''x''';
SELECT set_config('pg_baton.max_events_per_task', '1', false);
RESET ROLE;
SET pg_baton.nothing_of_the_kind = 1;
SELECT * FROM baton_check(true);
