-- Who may call what: every function, table, view and sequence of the extension, tried by roles with one capability
-- each: in all queues, in the task's own queue ("mine"), or in another queue only ("other").

DO $$
DECLARE
    capability text;
BEGIN
    PERFORM queue_create('mine', max_lost_leases => 1), queue_create('other', max_lost_leases => 1);
    CREATE ROLE regress_none;
    CREATE ROLE regress_granted;
    FOREACH capability IN ARRAY ARRAY['produce', 'work', 'observe', 'control', 'operate'] LOOP
        EXECUTE format('CREATE ROLE regress_%1$s; CREATE ROLE regress_%1$s_mine; CREATE ROLE regress_%1$s_other', capability);
        PERFORM baton_grant('regress_' || capability, capability),
            baton_grant('regress_' || capability || '_mine', capability, 'mine'),
            baton_grant('regress_' || capability || '_other', capability, 'other');
    END LOOP;
    -- All of them, in the other queue.
    CREATE ROLE regress_every_other;
    GRANT regress_produce_other, regress_work_other, regress_observe_other, regress_control_other, regress_operate_other TO regress_every_other;
END $$;

-- Nothing is PUBLIC's.
SELECT p.oid::regprocedure AS executable_by_public
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid,
aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl
WHERE e.extname = 'pg_baton' AND acl.grantee = 0;
SELECT acl.privilege_type AS publics_privilege_on_schema_baton
FROM pg_namespace n, aclexplode(n.nspacl) acl WHERE n.nspname = 'baton' AND acl.grantee = 0;

-- Each relation of the schema: which roles have which privilege on it, or on a column of it.
WITH relation AS (
    SELECT c.oid, c.relname, c.relkind FROM pg_class c
    WHERE c.relnamespace = 'baton'::regnamespace AND c.relkind NOT IN ('i', 'I')
), privilege AS (
    SELECT r.relkind, r.relname, p.name, role.rolname
    FROM relation r
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'USAGE']) AS p (name)
    JOIN pg_roles role ON role.rolname LIKE 'regress\_%'
    WHERE CASE
        WHEN r.relkind = 'S' THEN p.name IN ('SELECT', 'UPDATE', 'USAGE') AND has_sequence_privilege(role.rolname, r.oid, p.name)
        WHEN p.name IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') THEN has_any_column_privilege(role.rolname, r.oid, p.name)
        WHEN p.name = 'USAGE' THEN false
        ELSE has_table_privilege(role.rolname, r.oid, p.name) END
)
SELECT r.relkind, r.relname, p.name AS privilege, string_agg(substr(p.rolname, 9), ' ' ORDER BY p.rolname) AS roles
FROM relation r LEFT JOIN privilege p USING (relkind, relname)
GROUP BY r.relkind, r.relname, p.name ORDER BY r.relkind, r.relname, p.name;

-- An id shall be no other number.
SELECT setval('baton.id_seq', 5000), setval('baton.token_seq', 7000);
-- A definition of one step, in a queue.
CREATE FUNCTION one_step(queue text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('steps', jsonb_build_array(jsonb_build_object('name', 'step', 'queue', $1)))
$$;
-- The scenes: tasks in every state and runs, in the queue itself and in the other one; and what a caller may mean that does
-- not exist at all. (A queue that does not exist may be named by a definition: it is looked for at the start.)
SELECT name, workflow_define('flow of ' || name, one_step(name)) FROM unnest(ARRAY['mine', 'other', 'nowhere']) name;
CREATE TABLE scene (queue text, task text, task_id bigint, lease_token bigint, PRIMARY KEY (queue, task));
DO $$
DECLARE
    q text;
    id bigint;
    token bigint;
    run bigint;
    t text;
BEGIN
    FOREACH q IN ARRAY ARRAY['mine', 'other'] LOOP
        FOREACH t IN ARRAY ARRAY['leased', 'started', 'asked', 'expired', 'failed', 'completed', 'ended'] LOOP
            SELECT task_id INTO id FROM task_create(q, key => t, name => 'named');
            SELECT lease_token INTO token FROM task_acquire_lease_by_id(id, 'worker of ' || q, CASE t WHEN 'expired' THEN interval '100 ms' ELSE interval '1 h' END);
            INSERT INTO scene VALUES (q, t, id, token);
            PERFORM task_append_event(id, 'note', '1', token, 'once');
            CASE t
                WHEN 'started' THEN PERFORM task_start(id, token);
                WHEN 'asked' THEN PERFORM task_cancel(id);
                WHEN 'failed', 'completed' THEN PERFORM task_finalize(id, token, t);
                WHEN 'ended' THEN PERFORM task_finalize(id, token, 'failed'), task_redrive(id);
                ELSE
            END CASE;
        END LOOP;
        INSERT INTO scene SELECT q, 'scheduled', task_id, 0 FROM task_create(q, key => 'scheduled', run_at => '2100-01-01');
        SELECT run_id, task_id INTO run, id FROM task_create_items(q, 'group', ARRAY['1', '2']::jsonb[], key => 'group', successor => 'join') WHERE item_index = 0;
        INSERT INTO scene VALUES (q, 'run', run, 0), (q, 'item', id, 0);
        SELECT run_id, task_id INTO run, id FROM task_create_items(q, 'group', ARRAY['1']::jsonb[]);
        PERFORM task_cancel(id);
        INSERT INTO scene VALUES (q, 'run done', run, 0);
        FOREACH t IN ARRAY ARRAY['run defined', 'run paused', 'run cancelled'] LOOP
            SELECT run_id INTO run FROM workflow_start('flow of ' || q, key => t);
            INSERT INTO scene VALUES (q, t, run, 0);
            PERFORM workflow_append_event(run, 'note', '1', 'once');
            CASE t
                WHEN 'run paused' THEN PERFORM workflow_pause(run, 'by hand');
                WHEN 'run cancelled' THEN PERFORM workflow_cancel(run);
                ELSE
            END CASE;
        END LOOP;
        -- A task with a slot, and one that waits for it.
        PERFORM slot_set('key of ' || q, 1);
        INSERT INTO scene SELECT q, t.task, c.task_id, 0 FROM (VALUES ('with slot'), ('waits')) t (task), task_create(q, key => t.task, slot_keys => ARRAY['key of ' || q]) c;
        -- A task that is being undone, its compensation, and a run that is being undone.
        SELECT task_id INTO id FROM task_create(q, key => 'undone');
        SELECT lease_token INTO token FROM task_acquire_lease_by_id(id, 'worker of ' || q);
        PERFORM task_register_compensation(id, token, 'undo', q), task_register_compensation(id, token, 'undo more', q), task_finalize(id, token, 'failed');
        INSERT INTO scene SELECT q, t.task, t.id, 0 FROM (SELECT 'undone', id UNION ALL SELECT 'undoes', c.task_id FROM task_compensations(id) c WHERE c.compensation_no = 2) t (task, id);
        SELECT run_id, task_id INTO run, id FROM task_create_items(q, 'group', ARRAY['1']::jsonb[]);
        SELECT lease_token INTO token FROM task_acquire_lease_by_id(id, 'worker of ' || q);
        PERFORM task_register_compensation(id, token, 'undo', q), task_finalize(id, token, 'completed'), workflow_finalize(run, 'failed');
        INSERT INTO scene VALUES (q, 'run undone', run, 0);
        INSERT INTO scene SELECT q, 'ready', task_id, 0 FROM task_create(q, key => 'ready', payload => '{"secret": 1}');
        PERFORM task_annotate(task_id, '{"noted": 1}') FROM scene s WHERE s.queue = q AND s.task !~ '^run';
    END LOOP;
    INSERT INTO scene SELECT 'nowhere', task, 1000000000000000 + row_number() OVER (), lease_token FROM scene WHERE queue = 'mine';
END $$;
SELECT pg_sleep(0.2);

-- Each function, in a call that succeeds for who may: {task} stands for the id of the task or run named, {token} for its
-- lease's token.
CREATE TABLE calls (no serial, function text, task text, call text);
INSERT INTO calls (function, task, call) VALUES
    ('task_create', '', 'task_create({queue})'),
    ('task_create', '', 'task_create({queue}, key => ''ready'')'),
    ('task_create', '', 'task_create({queue}, slot_keys => ARRAY[''key of '' || {queue}])'),
    ('task_create_many', '', 'task_create_many({queue}, ARRAY[''1'', ''2'']::jsonb[], keys => ARRAY[''ready'', NULL])'),
    ('task_create_items', '', 'task_create_items({queue}, ''new'', ARRAY[''1'']::jsonb[])'),
    ('task_create_items', '', 'task_create_items({queue}, ''group'', ARRAY[''1'']::jsonb[], key => ''group'')'),
    ('task_create_items', 'run', 'task_create_items({queue}, ''new'', ARRAY[''1'']::jsonb[], run_id => {task})'),
    ('task_acquire_lease', '', 'task_acquire_lease({queue}, ''w'')'),
    ('task_acquire_lease_by_id', 'ready', 'task_acquire_lease_by_id({task}, ''w'')'),
    ('task_start', 'leased', 'task_start({task}, {token})'),
    ('task_heartbeat', 'leased', 'task_heartbeat({task}, {token}, ''2 h'')'),
    ('task_heartbeat_many', 'leased', 'task_heartbeat_many(ARRAY[{task}], ARRAY[{token}], ''2 h'')'),
    ('task_append_event', 'leased', 'task_append_event({task}, ''mine'', ''{}'', {token})'),
    ('task_append_event', 'leased', 'task_append_event({task}, ''mine'', ''{}'', {token}, ''once'')'),
    ('task_append_event', 'ready', 'task_append_event({task}, ''mine'')'),
    ('task_append_events', 'leased', 'task_append_events({task}, ARRAY[''mine''], ARRAY[''1'']::jsonb[], {token})'),
    ('task_append_events', 'leased', 'task_append_events({task}, ARRAY[''mine''], ARRAY[''1'']::jsonb[], {token}, ARRAY[''once''])'),
    ('task_append_events', 'ready', 'task_append_events({task}, ARRAY[''mine''], ARRAY[''1'']::jsonb[])'),
    ('task_finalize', 'leased', 'task_finalize({task}, {token}, ''completed'')'),
    ('task_finalize_many', 'leased', 'task_finalize_many(ARRAY[{task}], ARRAY[{token}], ARRAY[''completed''])'),
    ('task_fail_attempt', 'leased', 'task_fail_attempt({task}, {token})'),
    ('task_release', 'leased', 'task_release({task}, {token})'),
    ('task_require_lease', 'leased', 'task_require_lease({task}, {token})'),
    ('task_register_compensation', 'leased', 'task_register_compensation({task}, {token}, ''undo'', {queue})'),
    ('task_register_compensation', 'leased', 'task_register_compensation({task}, {token}, ''undo'', ''other'')'),
    ('task_dispatch_successor', 'completed', 'task_dispatch_successor({task}, ''next'', {queue})'),
    ('task_dispatch_successor', 'completed', 'task_dispatch_successor({task}, ''next'', ''other'')'),
    ('task_annotate', 'leased', 'task_annotate({task}, ''{"a": 1}'', {token})'),
    ('task_annotate', 'ready', 'task_annotate({task}, ''{"a": 1}'')'),
    ('task_get', 'ready', 'task_get({task})'),
    ('task_get_by_key', '', 'task_get_by_key({queue}, ''ready'')'),
    ('task_list', '', 'task_list({queue})'),
    ('task_list', 'run', 'task_list(run_id => {task})'),
    ('task_items', 'run', 'task_items({task}, ''group'')'),
    ('task_events', 'leased', 'task_events({task})'),
    ('task_annotations', 'ready', 'task_annotations({task})'),
    ('task_compensations', 'undone', 'task_compensations({task})'),
    ('task_cancel', 'ready', 'task_cancel({task}, force => true)'),
    ('task_cancel', 'undone', 'task_cancel({task})'),
    ('task_cancel', 'undoes', 'task_cancel({task})'),
    ('task_redrive', 'failed', 'task_redrive({task})'),
    ('task_reap', '', 'task_reap(queue => {queue})'),
    ('task_reap_owner', '', 'task_reap_owner(''worker of '' || {queue}, 9007199254740991)'),
    ('queue_pause', '', 'queue_pause({queue})'),
    ('queue_resume', '', 'queue_resume({queue})'),
    ('queue_redrive', '', 'queue_redrive({queue})'),
    ('queue_create', '', 'queue_create(''new'')'),
    ('queue_create', '', 'queue_create({queue} || ''2'', on_final_queue => {queue})'),
    ('queue_alter', '', 'queue_alter({queue}, max_attempts => 2)'),
    ('queue_alter', '', 'queue_alter({queue}, on_final_queue => {queue})'),
    ('queue_drop', '', 'queue_drop({queue})'),
    ('slot_set', '', 'slot_set(''new key'', 1)'),
    ('slot_set', '', 'slot_set(''key of '' || {queue}, 2)'),
    ('workflow_define', '', 'workflow_define(''new'', one_step({queue}))'),
    ('workflow_define', '', 'workflow_define(''flow of '' || {queue}, one_step({queue}))'),
    ('workflow_start', '', 'workflow_start(definition => one_step({queue}))'),
    ('workflow_start', '', 'workflow_start(''flow of '' || {queue})'),
    ('workflow_start', '', 'workflow_start(''flow of '' || {queue}, key => ''run defined'')'),
    ('workflow_start', '', 'workflow_start(''flow of '' || {queue}, ''1'', ''run cancelled'')'),
    ('workflow_pause', 'run defined', 'workflow_pause({task}, ''by hand'')'),
    ('workflow_resume', 'run paused', 'workflow_resume({task}, ''by hand'')'),
    ('workflow_cancel', 'run defined', 'workflow_cancel({task})'),
    ('workflow_cancel', 'run paused', 'workflow_cancel({task}, ''why'', ''force'')'),
    ('workflow_cancel', 'run undone', 'workflow_cancel({task})'),
    ('workflow_finalize', 'run done', 'workflow_finalize({task}, ''completed'')'),
    ('workflow_finalize', 'run defined', 'workflow_finalize({task}, ''completed'')'),
    ('workflow_annotate', 'run cancelled', 'workflow_annotate({task}, ''{"a": 1}'')'),
    ('workflow_append_event', 'run defined', 'workflow_append_event({task}, ''mine'', ''{}'')'),
    ('workflow_append_event', 'run cancelled', 'workflow_append_event({task}, ''mine'', ''{}'', ''once'')'),
    ('workflow_get', 'run defined', 'workflow_get({task})'),
    ('workflow_steps', 'run defined', 'workflow_steps({task})'),
    ('workflow_events', 'run defined', 'workflow_events({task})'),
    ('workflow_mermaid', 'run defined', 'workflow_mermaid({task})'),
    ('workflow_compensations', 'run undone', 'workflow_compensations({task})'),
    ('baton_check', '', 'baton_check()'),
    ('baton_purge', '', 'baton_purge(''0'', queue => {queue})'),
    ('baton_grant', '', 'baton_grant(''regress_granted'', ''work'', {queue})'),
    ('baton_revoke', '', 'baton_revoke(''regress_granted'', ''work'', {queue})'),
    ('_clock', '', 'baton._clock()'),
    ('_queues_seen', '', 'baton._queues_seen()'),
    ('_state_name', '', 'baton._state_name(2::smallint)'),
    ('_state_name_of_compensation', '', 'baton._state_name_of_compensation(10::smallint, NULL)'),
    ('_document', '', '(SELECT baton._document(1, ''{}'') IS NULL)'),
    ('_compensation', '', '(SELECT baton._compensation(1, ''{}'', ''{}'', ''[]'', 1, 1) IS NULL)'),
    ('_capabilities_changed', '', '(SELECT baton._capabilities_changed() IS NULL)'),
    ('_only_the_functions_write', '', '(SELECT baton._only_the_functions_write() IS NULL)'),
    ('_evaluate', '', '(SELECT baton._evaluate(1, ''{}'', NULL, NULL, NULL, ''[]'', 1, 1, 1) IS NULL)'),
    ('_fill', '', '(SELECT baton._fill(''1'', ''{}'', ''{}'') IS NULL)'),
    ('_fill_item', '', '(SELECT baton._fill_item(''1'', ''[]'', ''{}'', ''1'', 0) IS NULL)'),
    ('_why_not', '', '(SELECT baton._why_not(''jsonpath'', ''$'') IS NULL)'),
    ('_interval', '', '(SELECT baton._interval(''1 h'') IS NULL)'),
    ('baton.leases', '', '(SELECT * FROM baton.leases WHERE queue = {queue})'),
    ('baton.queue_stats', '', '(SELECT * FROM baton.queue_stats WHERE queue = {queue})'),
    ('baton.slot_usage', '', '(SELECT * FROM baton.slot_usage WHERE slot_key = ''key of '' || {queue})'),
    ('baton.workflow_progress', '', '(SELECT * FROM baton.workflow_progress WHERE name = ''flow of '' || {queue})');

-- Functions without a line above, and lines without a function.
SELECT coalesce(f.proname, c.function) AS without_a_line, f.proname IS NULL AS is_no_function
FROM (SELECT p.proname::text FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid WHERE e.extname = 'pg_baton'
      UNION ALL
      SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = 'baton'::regnamespace AND c.relkind IN ('v', 'm', 'f')) f
FULL JOIN (SELECT DISTINCT function FROM calls) c ON c.function = f.proname
WHERE f.proname IS NULL OR c.function IS NULL;

CREATE FUNCTION call_of(call text, queue text, task text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT replace(replace(replace($1, '{queue}', quote_literal($2)),
        '{task}', coalesce(max(s.task_id), 0)::text), '{token}', coalesce(max(s.lease_token), 0)::text)
    FROM scene s WHERE s.queue = $2 AND s.task = $3
$$;

-- All rows, with who wrote and who locked them: what a call must not change.
CREATE FUNCTION fingerprint(queue text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT md5(
        (SELECT string_agg(t::text || t.xmin || t.xmax, '' ORDER BY t.ctid) FROM baton.task t JOIN baton.queue q USING (queue_id) WHERE q.name = $1) ||
        (SELECT string_agg(t::text || t.xmin || t.xmax, '' ORDER BY t.ctid) FROM baton.task_live t JOIN baton.queue q USING (queue_id) WHERE q.name = $1) ||
        (SELECT string_agg(t::text || t.xmin || t.xmax, '' ORDER BY t.ctid) FROM baton.task_done t JOIN baton.queue q USING (queue_id) WHERE q.name = $1) ||
        (SELECT string_agg(s::text || s.xmin || s.xmax || r || r.xmin || r.xmax, '' ORDER BY s.ctid) FROM baton.step s JOIN baton.run r USING (run_id) JOIN baton.queue q USING (queue_id) WHERE q.name = $1) ||
        (SELECT string_agg(e::text, '' ORDER BY e.tape_id, e.seq) FROM baton.event e) || (SELECT count(*) FROM baton.annotation) ||
        (SELECT string_agg(w::text || w.xmin || w.xmax, '' ORDER BY w.ctid) FROM baton.workflow w) ||
        (SELECT string_agg(s::text || s.xmin || s.xmax, '' ORDER BY s.ctid) FROM baton.slot s) || (SELECT string_agg(k::text || k.xmin || k.xmax, '' ORDER BY k.ctid) FROM baton.slot_key k) ||
        (SELECT string_agg(c::text || c.xmin || c.xmax, '' ORDER BY c.ctid) FROM baton.compensation c) || (SELECT string_agg(s::text || s.xmin || s.xmax, '' ORDER BY s.ctid) FROM baton.saga s) ||
        (SELECT count(*) FROM baton.due) || (SELECT count(*) FROM baton.dispatch) || (SELECT count(*) FROM baton.redrive) || (SELECT count(*) FROM baton.capability) ||
        (SELECT q::text || q.xmin || q.xmax FROM baton.queue q WHERE q.name = $1))
$$;

-- A call, as a role; afterwards all is as before. `answer`: the SQLSTATE, the outcome, or what else there was. `said`:
-- every word of it, ids and names of the scene aside. `touched`: whether it changed or locked anything in "mine" (if watched).
CREATE FUNCTION attempt(role text, call text, watch boolean, OUT answer text, OUT said text, OUT touched boolean) LANGUAGE plpgsql AS $$
DECLARE
    before text := CASE WHEN watch THEN fingerprint('mine') END;
    rows jsonb;
    detail text;
    hint text;
BEGIN
    BEGIN
        PERFORM set_config('role', role, true);
        EXECUTE format('SELECT jsonb_agg(to_jsonb(r)) FROM (SELECT * FROM %s AS f) r', call) INTO rows;
        PERFORM set_config('role', 'none', true);
        touched := CASE WHEN watch THEN fingerprint('mine') <> before END;
        said := rows;
        answer := CASE
            WHEN rows IS NULL THEN '0 rows'
            WHEN rows -> 0 ? 'outcome' THEN rows -> 0 ->> 'outcome'
            WHEN call LIKE 'workflow\_%' AND rows -> 0 -> 'f' = 'null' THEN 'null'
            WHEN call LIKE 'workflow\_%' AND rows -> 0 ->> 'f' ~ '^[a-z_]+$' THEN rows -> 0 ->> 'f'
            ELSE 'ok' END;
        RAISE SQLSTATE 'ZZ999';
    EXCEPTION
        WHEN SQLSTATE 'ZZ999' THEN
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            answer := SQLSTATE;
            said := concat_ws('|', SQLSTATE, SQLERRM, detail, hint);
            touched := false;
    END;
    ASSERT current_user = session_user;
END $$;

-- An answer's words, told of "mine" or of "nowhere", without the ids and names that the caller gave.
CREATE FUNCTION impersonal(said text, queue text, task text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT replace(coalesce(regexp_replace($1, '\m' || (SELECT s.task_id FROM scene s WHERE s.queue = $2 AND s.task = $3) || '\M', '<task>', 'g'), $1),
        '"' || $2 || '"', '<queue>')
$$;

-- Who may. In a column: those for whom the call succeeds, and what it says, if that is not plain from the name.
CREATE TABLE tried AS
SELECT c.no, c.function, c.task, c.call, k.capability, s.scope, a.*
FROM calls c
CROSS JOIN unnest(ARRAY['produce', 'work', 'observe', 'control', 'operate', 'none']) AS k (capability)
CROSS JOIN unnest(ARRAY['', '_mine', '_other']) AS s (scope)
CROSS JOIN LATERAL attempt('regress_' || k.capability || s.scope, call_of(c.call, 'mine', c.task), false) a
WHERE k.capability <> 'none' OR s.scope = '';
SELECT call || CASE WHEN task = '' THEN '' ELSE '  -- ' || task END AS call,
    string_agg(capability || ': ' || answer, ', ' ORDER BY capability) FILTER (WHERE scope = '' AND answer <> '42501') AS in_all_queues,
    string_agg(capability || ': ' || answer, ', ' ORDER BY capability) FILTER (WHERE scope = '_mine' AND answer <> '42501') AS in_its_queue,
    string_agg(capability || ': ' || answer, ', ' ORDER BY capability) FILTER (WHERE scope = '_other' AND answer <> '42501') AS in_another_queue
FROM tried GROUP BY no, call, task ORDER BY no;
-- Who is refused is told what is missing, and nothing about the task.
SELECT regexp_replace(said, '(function|view|schema) \S+', '\1 <name>') AS refused, count(DISTINCT call) AS calls
FROM tried WHERE answer = '42501' GROUP BY 1 ORDER BY 1;

-- Whoever has a capability, or all of them, for another queue only is answered word for word as if the task or the run
-- (whatever its state) or the queue did not exist; and the call has changed and locked nothing.
CREATE TABLE foreign_tried AS
SELECT c.no, c.call, c.function, k.capability, s.task, a.answer, a.touched,
    impersonal(a.said, 'mine', s.task) AS said,
    impersonal(b.said, 'nowhere', s.task) AS absent_said
FROM (SELECT * FROM calls WHERE function <> '_clock') c
JOIN scene s ON s.queue = 'mine' AND (c.call LIKE '%{task}%' OR s.task = 'ready')
JOIN (SELECT no, capability FROM tried WHERE scope = '_other' AND answer <> '42501' UNION ALL SELECT no, 'every' FROM calls) k USING (no)
CROSS JOIN LATERAL attempt('regress_' || k.capability || '_other', call_of(c.call, 'mine', s.task), true) a
CROSS JOIN LATERAL attempt('regress_' || k.capability || '_other', call_of(c.call, 'nowhere', s.task), false) b;
SELECT count(*) > 500 AS many, count(DISTINCT function) AS functions FROM foreign_tried;
SELECT call, capability, task, answer, said, absent_said FROM foreign_tried WHERE said IS DISTINCT FROM absent_said ORDER BY no, capability, task;
SELECT call, capability, string_agg(task, ' ' ORDER BY task) AS touched_tasks FROM foreign_tried WHERE touched GROUP BY no, call, capability ORDER BY no, capability;

-- Calls that may need more than one capability, or more than one queue.
CREATE ROLE regress_dispatcher;
SELECT baton_grant('regress_dispatcher', 'work', 'mine'), baton_grant('regress_dispatcher', 'produce', 'other');
CREATE ROLE regress_twice;
SELECT baton_grant('regress_twice', c, q) FROM unnest(ARRAY['mine', 'other']) q, unnest(ARRAY['produce', 'work', 'observe', 'control', 'operate']) c;
WITH calls (no, role, queue, task, call) AS (VALUES
    -- work on the task, produce in the queue of the successor
    (1, 'regress_dispatcher', 'mine', 'completed', 'task_dispatch_successor({task}, ''next'', ''other'')'),
    (2, 'regress_dispatcher', 'mine', 'completed', 'task_dispatch_successor({task}, ''next'', ''mine'')'),
    (3, 'regress_dispatcher', 'other', 'completed', 'task_dispatch_successor({task}, ''next'', ''other'')'),
    (4, 'regress_dispatcher', 'other', 'completed', 'task_dispatch_successor({task}, ''next'', ''nowhere'')'),
    (5, 'regress_twice', 'mine', 'completed', 'task_dispatch_successor({task}, ''next'', ''other'')'),
    -- work on the task, produce (or work) in the queue of the compensation
    (6, 'regress_dispatcher', 'mine', 'leased', 'task_register_compensation({task}, {token}, ''undo'', ''other'')'),
    (7, 'regress_dispatcher', 'mine', 'leased', 'task_register_compensation({task}, {token}, ''undo'', ''mine'')'),
    (8, 'regress_dispatcher', 'other', 'leased', 'task_register_compensation({task}, {token}, ''undo'', ''other'')'),
    (9, 'regress_dispatcher', 'other', 'leased', 'task_register_compensation({task}, {token}, ''undo'', ''nowhere'')'),
    (10, 'regress_dispatcher', 'mine', 'leased', 'task_register_compensation({task}, {token}, ''undo'', ''nowhere'')'),
    -- produce in the queue of the group and in the successor's; a run of one's own
    (11, 'regress_produce_mine', 'mine', '', 'task_create_items(''mine'', ''g'', ARRAY[''1'']::jsonb[], successor => ''s'', successor_queue => ''other'')'),
    (12, 'regress_produce_mine', 'mine', '', 'task_create_items(''mine'', ''g'', ARRAY[''1'']::jsonb[], successor => ''s'', successor_queue => ''nowhere'')'),
    (13, 'regress_produce_mine', 'mine', 'run', 'task_create_items(''mine'', ''g'', ARRAY[''1'']::jsonb[], run_id => {task})'),
    (14, 'regress_produce_mine', 'other', 'run', 'task_create_items(''mine'', ''g'', ARRAY[''1'']::jsonb[], run_id => {task})'),
    (15, 'regress_produce_mine', 'other', 'run', 'task_create_items(''mine'', ''group'', ARRAY[''1'']::jsonb[], run_id => {task})'),
    (16, 'regress_produce_mine', 'nowhere', 'run', 'task_create_items(''mine'', ''g'', ARRAY[''1'']::jsonb[], run_id => {task})'),
    (17, 'regress_produce', 'other', 'run', 'task_create_items(''mine'', ''g'', ARRAY[''1'']::jsonb[], run_id => {task})'),
    -- all queues, in the sense of: two of them
    (20, 'regress_twice', 'mine', '', 'slot_set(''key of mine'', 1)'),
    (21, 'regress_twice', 'mine', '', 'queue_create(''new'')'),
    (22, 'regress_twice', 'mine', '', 'queue_create(''mine'')'),
    (23, 'regress_twice', 'mine', '', 'baton_check()'),
    (24, 'regress_twice', 'mine', '', 'queue_alter(''mine'', on_final_queue => ''other'')'),
    (25, 'regress_operate_mine', 'mine', '', 'queue_alter(''mine'', on_final_queue => ''mine'')'),
    (26, 'regress_operate_mine', 'mine', '', 'queue_alter(''mine'', on_final_queue => ''other'')'),
    (27, 'regress_operate_mine', 'mine', '', 'queue_alter(''mine'', on_final_queue => ''nowhere'')'),
    (28, 'regress_operate', 'mine', '', 'queue_alter(''mine'', on_final_queue => ''other'')'))
SELECT role, replace(replace(call, '{task}', CASE task WHEN '' THEN '' ELSE queue || '.' || task END), '{token}', 'its token') AS call, a.answer,
    CASE WHEN a.answer ~ '^[0-9]' THEN impersonal(a.said, queue, task) END AS said
FROM calls CROSS JOIN LATERAL attempt(role, call_of(call, queue, task), false) a
ORDER BY no;

-- Without a queue: one's own.
CREATE FUNCTION queues_of(role text, call text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    task_ids bigint[];
    queues text[];
BEGIN
    BEGIN
        PERFORM set_config('role', role, true);
        EXECUTE format('SELECT array_agg(task_id) FROM %s', call) INTO task_ids;
        PERFORM set_config('role', 'none', true);
        SELECT array_agg(DISTINCT q.name ORDER BY q.name) INTO queues FROM baton.task JOIN baton.queue q USING (queue_id) WHERE task_id = ANY (task_ids);
        RAISE SQLSTATE 'ZZ999';
    EXCEPTION WHEN SQLSTATE 'ZZ999' THEN RETURN queues;
    END;
END $$;
SELECT role, queues_of(role, call), call
FROM (VALUES ('regress_observe'), ('regress_observe_mine'), ('regress_work_mine'), ('regress_twice')) r (role),
    (VALUES (1, 'task_list()'), (2, 'task_list(name => ''named'', states => ARRAY[''running'', ''failed''])'), (3, 'baton.leases')) c (no, call)
ORDER BY no, role;
SELECT role, queues_of(role, call), call
FROM (VALUES ('regress_control'), ('regress_control_mine'), ('regress_control_other'), ('regress_twice')) r (role),
    (VALUES (1, 'task_reap()'), (2, 'task_reap_owner(''worker of mine'', 9007199254740991)'), (3, 'task_reap_owner(''worker of other'', 9007199254740991)')) c (no, call)
ORDER BY no, role;

-- A run that is shared: of groups in other queues nothing is seen.
SELECT run_id FROM task_create_items('mine', 'a', ARRAY['1']::jsonb[]) \gset
SELECT outcome FROM task_create_items('other', 'b', ARRAY['1', '2']::jsonb[], run_id => :run_id);
SELECT role, queues_of(role, 'task_list(run_id => ' || :run_id || ')'), queues_of(role, 'task_items(' || :run_id || ', ''a'')') AS items_of_a, queues_of(role, 'task_items(' || :run_id || ', ''b'')') AS items_of_b
FROM (VALUES ('regress_observe'), ('regress_observe_mine'), ('regress_observe_other')) r (role);
-- Nor is their successor taken from them by a worker in the same run: it is dispatched at their end, in their queue.
SELECT baton_grant('regress_dispatcher', 'produce', 'mine');
SELECT task_id AS ended FROM task_items(:run_id, 'a') \gset
SELECT outcome FROM task_create_items('other', 'c', ARRAY['1']::jsonb[], run_id => :run_id, successor => 'after_c');
SELECT f.outcome FROM task_acquire_lease_by_id(:ended, 'w') l, task_finalize(:ended, l.lease_token, 'completed') f;
CREATE FUNCTION take(ended bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('role', 'regress_dispatcher', true);
    PERFORM task_dispatch_successor(ended, 'after_c', 'mine');
    PERFORM set_config('role', 'none', true);
EXCEPTION WHEN OTHERS THEN
    -- However it is refused.
END $$;
SELECT take(:ended);
SELECT * FROM baton_check();
SELECT f.outcome FROM task_items(:run_id, 'c') i, task_acquire_lease_by_id(i.task_id, 'w') l, task_finalize(i.task_id, l.lease_token, 'completed') f;
SELECT queue, name FROM task_list(run_id => :run_id, name => 'after_c');
SELECT DISTINCT outcome FROM task_list(run_id => :run_id) l, task_cancel(l.task_id) ORDER BY 1;

-- A run with steps in both queues: it is started by who may create tasks in all of them, controlled by who controls all of
-- them; who may look into one of them sees the run and the steps there.
CREATE FUNCTION two_steps(a text, b text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('steps', jsonb_build_array(jsonb_build_object('name', 'a', 'queue', a), jsonb_build_object('name', 'b', 'queue', b, 'needs', '{a}'::text[])))
$$;
SELECT workflow_define('shared', two_steps('mine', 'other')), workflow_define('half', two_steps('mine', 'nowhere'));
SELECT run_id AS shared FROM workflow_start('shared') \gset
SELECT a.run_id AS done, a.task_id AS a FROM task_create_items('mine', 'a', ARRAY['1']::jsonb[]) a \gset
SELECT b.task_id AS b FROM task_create_items('other', 'b', ARRAY['1']::jsonb[], run_id => :done) b \gset
SELECT outcome FROM unnest(ARRAY[:a, :b]) id, task_cancel(id);
INSERT INTO scene VALUES ('both', 'run', :shared, 0), ('both', 'run done', :done, 0);
CREATE TABLE shared_calls (no serial, task text, call text);
INSERT INTO shared_calls (task, call) VALUES
    ('', 'workflow_start(''shared'')'), ('', 'workflow_start(''half'')'), ('', 'workflow_start(''neither'')'),
    ('', 'workflow_start(definition => two_steps(''mine'', ''other''))'), ('', 'workflow_start(definition => two_steps(''mine'', ''nowhere''))'),
    ('', 'workflow_define(''shared'', one_step(''mine''))'),
    ('run', 'workflow_pause({task}, ''by hand'')'), ('run', 'workflow_resume({task}, ''by hand'')'), ('run', 'workflow_cancel({task})'),
    ('run', 'workflow_finalize({task}, ''completed'')'), ('run done', 'workflow_finalize({task}, ''completed'')'),
    ('run', 'workflow_annotate({task}, ''{}'')'), ('run', 'workflow_append_event({task}, ''note'')'),
    ('run', 'workflow_get({task})'), ('run', 'workflow_events({task})'), ('run', '(SELECT * FROM baton.workflow_progress WHERE run_id = {task})');
SELECT role, call, a.answer, CASE WHEN a.answer ~ '^[0-9]{4}' THEN impersonal(a.said, 'both', task) END AS said
FROM shared_calls
CROSS JOIN unnest(ARRAY['produce', 'produce_mine', 'observe', 'observe_mine', 'control', 'control_mine', 'operate', 'operate_mine', 'twice']) role
CROSS JOIN LATERAL attempt('regress_' || role, call_of(call, 'both', task), false) a
WHERE a.answer <> '42501' OR a.said LIKE '%in some queues only%'
ORDER BY no, role;
SET ROLE regress_observe_mine;
SELECT step, state FROM workflow_steps(:shared);
SELECT line FROM regexp_split_to_table(workflow_mermaid(:shared), E'\n') line WHERE line LIKE '%:::%' OR line LIKE '%-->%';
RESET ROLE;
SET ROLE regress_work_other;
SELECT step, state FROM workflow_steps(:shared);
SELECT line FROM regexp_split_to_table(workflow_mermaid(:shared), E'\n') line WHERE line LIKE '%:::%' OR line LIKE '%-->%';
RESET ROLE;
SELECT outcome FROM workflow_cancel(:shared);
SELECT workflow_finalize(:done, 'completed');

-- The ledger of a run that is shared: what undoes tasks in other queues is not seen, wherever it is run.
SELECT a.run_id AS ledger, a.task_id AS a FROM task_create_items('mine', 'a', ARRAY['1']::jsonb[]) a \gset
SELECT b.task_id AS b FROM task_create_items('other', 'b', ARRAY['1']::jsonb[], run_id => :ledger) b \gset
SELECT r.outcome, r.compensation_no, f.outcome FROM (VALUES (:a, 'other'), (:b, 'mine')) t (task_id, undone_in), task_acquire_lease_by_id(t.task_id, 'w') l,
    task_register_compensation(t.task_id, l.lease_token, 'undo', t.undone_in) r, task_finalize(t.task_id, l.lease_token, 'completed') f;
CREATE FUNCTION rows_for(role text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    rows text;
BEGIN
    PERFORM set_config('role', role, true);
    EXECUTE format('SELECT string_agg(r::text, '' '' ORDER BY r::text) FROM (%s) r', query) INTO rows;
    PERFORM set_config('role', 'none', true);
    RETURN rows;
END $$;
SELECT role, rows_for(role, format('SELECT step, compensation_no, name, state FROM workflow_compensations(%s)', :ledger)) AS of_the_run,
    rows_for(role, format('SELECT count(*) FROM task_compensations(%s)', :a)) AS of_a, rows_for(role, format('SELECT count(*) FROM task_compensations(%s)', :b)) AS of_b
FROM unnest(ARRAY['regress_observe', 'regress_observe_mine', 'regress_work_other', 'regress_twice']) role;
SELECT workflow_finalize(:ledger, 'completed');
-- A slot key that is shared: tasks in other queues are not counted.
SELECT slot_set('shared key', 1);
SELECT outcome, state FROM unnest(ARRAY['mine', 'other', 'other']) WITH ORDINALITY q (name, n), task_create(q.name, key => 'shared ' || n, slot_keys => '{shared key}');
SELECT role, rows_for(role, 'SELECT capacity, holders, waiters, draining FROM baton.slot_usage WHERE slot_key = ''shared key''') AS capacity_holders_waiters_draining
FROM unnest(ARRAY['regress_observe', 'regress_observe_mine', 'regress_work_other', 'regress_twice']) role;
SELECT c.outcome FROM unnest(ARRAY['mine', 'other', 'other']) WITH ORDINALITY q (name, n), task_get_by_key(q.name, 'shared ' || n) t, task_cancel(t.task_id) c;

-- baton_purge changes for good what the scenes are made of, so it comes last. A run that is shared goes only where all of
-- its queues may be purged.
CREATE FUNCTION ended() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT string_agg(name || ': ' || n, ', ' ORDER BY name) FROM (SELECT q.name, count(*) AS n FROM baton.task_done JOIN baton.queue q USING (queue_id) GROUP BY 1) c
$$;
SELECT ended();
SET ROLE regress_operate_mine;
SELECT tasks, more FROM baton_purge('0');
SELECT * FROM baton_purge('0', queue => 'other');
SELECT * FROM baton_purge('0', queue => 'nowhere');
RESET ROLE;
SELECT ended();
SET ROLE regress_operate;
SELECT tasks, more FROM baton_purge('0');
RESET ROLE;
SELECT ended();
SELECT * FROM baton_check(true);
