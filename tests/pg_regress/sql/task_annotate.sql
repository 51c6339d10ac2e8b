-- task_annotate, task_annotations: metadata is merged key by key, in every state, and each change is kept.

SELECT queue_create('q', lease_ttl => '1 h');
SELECT outcome, task_id AS t FROM task_create('q', '{"p": 1}', key => 'k', metadata => '{"team": "billing"}') \gset
SELECT metadata FROM task_get(:t);
SELECT count(*) FROM task_annotations(:t);

-- Who controls it: no token. Top-level keys are replaced, nested ones are not merged, null is a value.
SELECT * FROM task_annotate(:t, '{"ticket": 7, "nested": {"a": 1}}');
SELECT * FROM task_annotate(task_id => :t, metadata => '{"team": "ops", "nested": {"b": 2}, "none": null}', lease_token => NULL);
SELECT metadata FROM task_get(:t);
SELECT role, metadata FROM task_annotations(:t);
-- What changes nothing is answered the same, and not kept: a replay, what stands there, nothing at all.
SELECT * FROM task_annotate(:t, '{"team": "ops", "nested": {"b": 2}, "none": null}');
SELECT * FROM task_annotate(:t, '{"ticket": 7.0}');
SELECT * FROM task_annotate(:t, '{}');
SELECT count(*) FROM task_annotations(:t);
-- There and back are two changes.
SELECT * FROM task_annotate(:t, '{"ticket": 8}');
SELECT * FROM task_annotate(:t, '{"ticket": 7}');
SELECT role, metadata FROM task_annotations(:t);
SELECT at <= clock_timestamp() AS past, at >= lag(at) OVER () AS in_order FROM task_annotations(:t);
SELECT metadata FROM task_list('q');

-- The holder of the lease, by its token.
SELECT outcome FROM task_annotate(:t, '{"x": 1}', 0);
SELECT lease_token AS l, metadata FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT :'metadata' AS metadata;
SELECT * FROM task_annotate(:t, '{"worker": "w"}', :l);
SELECT * FROM task_annotate(:t, '{"worker": "w"}', :l);
SELECT * FROM task_annotate(:t, '{"worker": "thief"}', :l + 1);
SELECT * FROM task_annotate(:t, '{"worker": "thief"}', 0);
SELECT * FROM task_annotate(:t, '{"worker": "thief"}', -1);
-- Who controls it may while somebody works on it; that is no event and does not touch the lease.
SELECT * FROM task_annotate(:t, '{"boss": true}');
SELECT metadata, state, owner, last_seq FROM task_get(:t);
-- An expired lease whose token is still the current one may.
SELECT pg_sleep(0.12);
SELECT expired FROM baton.leases;
SELECT * FROM task_annotate(:t, '{"late": true}', :l);
-- A lost one may not, in whatever state the task is then; a call that would change nothing is told so, too.
SELECT outcome FROM task_reap();
SELECT * FROM task_annotate(:t, '{"later": true}', :l);
SELECT * FROM task_annotate(:t, '{"late": true}', :l);
SELECT lease_token AS l2 FROM task_acquire_lease('q', 'w2') \gset
SELECT * FROM task_annotate(:t, '{"later": true}', :l);
SELECT * FROM task_annotate(:t, '{"second": 2}', :l2);
SELECT outcome FROM task_finalize(:t, :l2, 'completed', '"done"');
SELECT * FROM task_annotate(:t, '{"final": 3}', :l2);
SELECT metadata FROM task_get(:t);
-- After the end, who controls it; the rest of it stays as it ended.
SELECT to_jsonb(g) - 'metadata' AS before FROM task_get(:t) g \gset
SELECT * FROM task_annotate(:t, '{"reviewed": "yes"}');
SELECT to_jsonb(g) - 'metadata' = :'before' AS as_it_ended, metadata FROM task_get(:t) g;
SELECT seq, kind FROM task_events(:t);
SELECT outcome FROM task_finalize(:t, :l2, 'completed', '"done"');
SELECT role, metadata FROM task_annotations(:t);
-- A creation that is replayed compares the payload only.
SELECT outcome FROM task_create('q', '{"p": 1}', key => 'k', metadata => '{"team": "billing"}');

-- In every state.
SELECT key, outcome FROM unnest(ARRAY['scheduled', 'running', 'completed', 'failed', 'cancelled', 'quarantined', 'ready']) key, task_create('q', key => key, run_at => CASE key WHEN 'scheduled' THEN clock_timestamp() + interval '1 h' END);
SELECT key FROM task_acquire_lease('q', 'w', max_tasks => 5);
SELECT key, f.outcome FROM task_list('q', '{running}') t, task_finalize(t.task_id, t.lease_token, t.key) f WHERE key <> 'running' ORDER BY t.task_id;
SELECT DISTINCT run_id AS run FROM task_create_items('q', 'g', '{0,1}'::jsonb[], max_parallel => 1) \gset
SELECT t.state, a.outcome, count(*) FROM task_list('q') t, task_annotate(t.task_id, '{"seen": true}') a GROUP BY 1, 2 ORDER BY 1;
SELECT count(*) FROM task_list('q') WHERE metadata ->> 'seen' = 'true';
-- It stays in place, whatever happens to the task then.
SELECT outcome FROM task_get_by_key('q', 'ready') t, task_cancel(t.task_id);
SELECT state, metadata FROM task_get_by_key('q', 'ready');
SELECT r.outcome FROM task_get_by_key('q', 'running') t, task_release(t.task_id, t.lease_token) r;
SELECT state, metadata FROM task_get_by_key('q', 'running');

-- Of a dropped queue.
SELECT queue_create('gone');
SELECT task_id AS g FROM task_create('gone') \gset
SELECT outcome FROM task_cancel(:g);
SELECT queue_drop('gone');
SELECT * FROM task_annotate(:g, '{"a": 1}');
SELECT queue, metadata FROM task_get(:g);

-- By whom: the role in effect. Undone with its transaction.
CREATE ROLE regress_reviewer;
SELECT baton_grant('regress_reviewer', 'control');
SELECT baton_grant('regress_reviewer', 'observe');
SELECT task_id AS t2 FROM task_create('q') \gset
SET ROLE regress_reviewer;
SELECT * FROM task_annotate(:t2, '{"by": "reviewer"}');
BEGIN;
SELECT * FROM task_annotate(:t2, '{"by": "nobody"}');
SELECT metadata FROM task_get(:t2);
ROLLBACK;
RESET ROLE;
SELECT * FROM task_annotate(:t2, '{"by": "owner", "and": 1}');
SELECT role, metadata FROM task_annotations(:t2);
SELECT metadata FROM task_get(:t2);
SELECT count(*) FROM task_annotations(999999999);

-- The metadata that would result is bounded, not what is merged alone; what does not fit changes nothing.
SET pg_baton.max_payload_bytes = '1kB';
SELECT outcome FROM task_annotate(:t2, jsonb_build_object('a', repeat('x', 600)));
SELECT outcome FROM task_annotate(:t2, jsonb_build_object('b', repeat('x', 600)));
SELECT outcome FROM task_annotate(:t2, jsonb_build_object('c', repeat('x', 1100)));
SELECT outcome FROM task_annotate(:t2, jsonb_build_object('a', repeat('y', 600)));
SELECT outcome FROM task_annotate(:t2, '{"a": ""}');
SELECT outcome FROM task_annotate(:t2, jsonb_build_object('b', repeat('x', 600)));
SELECT count(*) FROM task_annotations(:t2);
RESET pg_baton.max_payload_bytes;
-- So many changes; what changes nothing is still answered.
SET pg_baton.max_events_per_task = 7;
SELECT outcome FROM task_annotate(:t2, '{"n": 6}');
SELECT outcome FROM task_annotate(:t2, '{"n": 7}');
SELECT outcome FROM task_annotate(:t2, '{"n": 6}');
SELECT metadata ->> 'n' AS n FROM task_get(:t2);
RESET pg_baton.max_events_per_task;

-- Errors, and in which order: arguments, not_found, lease_lost.
SELECT * FROM task_annotate(NULL, '{}');
SELECT * FROM task_annotate(:t, NULL);
SELECT * FROM task_annotate(:t, '[]');
SELECT * FROM task_annotate(:t, '"text"');
SELECT * FROM task_annotate(:t, 'null');
SELECT * FROM task_annotate(999999999, '1');
SELECT * FROM task_annotate(999999999, '{"a": 1}');
SELECT * FROM task_annotate(999999999, '{"a": 1}', 1);
SELECT * FROM task_annotate(:run, '{"a": 1}');
SELECT * FROM task_annotate(0, '{}');
SELECT * FROM task_annotate(-9223372036854775808, '{}', 9223372036854775807);
SELECT * FROM task_annotations(NULL);
BEGIN READ ONLY;
\set VERBOSITY sqlstate
SAVEPOINT s;
SELECT * FROM task_annotate(:t, '{"a": 1}');
ROLLBACK TO s;
\set VERBOSITY verbose
SELECT count(*) FROM task_annotations(:t);
COMMIT;
-- Terminal rows are immutable otherwise, for the owner, too.
UPDATE baton.task SET metadata = '{}' WHERE task_id = :t;
UPDATE baton.task_done SET reason = 'because' WHERE task_id = :t;
DELETE FROM baton.annotation WHERE task_id = :t;
SELECT metadata = (SELECT metadata FROM baton.task WHERE task_id = :t) AS as_it_was FROM task_get(:t);

SELECT * FROM baton_check(true);
