-- workflow_append_event: a caller's events on a run's own tape.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT * FROM workflow_append_event(999999999, 'note');

SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "q", "needs": ["a"]}]}') \gset
SELECT outcome, seq, at <= clock_timestamp() AS at, cancel_requested FROM workflow_append_event(:run, 'note', '{"text": "hello"}');
SELECT outcome, seq, at <= clock_timestamp() AS at, cancel_requested FROM workflow_append_event(:run, 'note');
-- It stands between the run's own, dense.
SELECT f.outcome FROM task_acquire_lease('q', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed') f;
SELECT outcome, seq FROM workflow_append_event(:run, 'my.kind', 'null');
SELECT seq, kind, body FROM workflow_events(:run);

-- Once per dedup key and tape, whatever else the call says.
SELECT outcome, seq FROM workflow_append_event(:run, 'once', '1', 'k');
SELECT outcome, seq, at = (SELECT at FROM workflow_events(:run, 7, 1)) AS same_time FROM workflow_append_event(:run, 'once', '1', 'k');
SELECT outcome, seq FROM workflow_append_event(:run, 'twice', '2', dedup_key => 'k');
SELECT outcome, seq FROM workflow_append_event(:run, 'once', '1', 'k2');
SELECT run_id AS other FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q"}]}') \gset
SELECT outcome, seq FROM workflow_append_event(:other, 'once', '1', 'k');
SELECT outcome, seq FROM task_items(:other, 'a') i, task_append_event(i.task_id, 'once', '1', dedup_key => 'k');

-- In a paused run.
SELECT workflow_pause(:run, 'here');
SELECT outcome, seq, cancel_requested FROM workflow_append_event(:run, 'note');
SELECT workflow_resume(:run, 'here');
-- A run that is being cancelled.
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 5);
SELECT * FROM workflow_cancel(:run);
SELECT outcome, seq, cancel_requested FROM workflow_append_event(:run, 'note');
SELECT outcome, seq, cancel_requested FROM workflow_append_event(:run, 'once', '1', 'k');
-- After the final event nothing; a replay is answered all the same.
SELECT * FROM workflow_cancel(:run, running => 'force');
SELECT outcome, seq, at, cancel_requested FROM workflow_append_event(:run, 'note');
SELECT outcome, seq, at, cancel_requested FROM workflow_append_event(:run, 'note', dedup_key => 'late');
SELECT outcome, seq FROM workflow_append_event(:run, 'once', '1', 'k');
SELECT seq, kind, CASE jsonb_typeof(body) WHEN 'object' THEN body - 'role' ELSE body END AS body FROM workflow_events(:run, 7);
SELECT i.task_id AS a, lease_token AS l FROM task_items(:other, 'a') i JOIN baton.leases USING (task_id) \gset
SELECT outcome FROM task_finalize(:a, :l, 'completed');
SELECT outcome, seq, cancel_requested FROM workflow_append_event(:other, 'note');
SELECT max(seq) FROM workflow_events(:other);
-- A run without a definition has a tape, too.
SELECT run_id AS group FROM task_create_items('q', 'g', ARRAY['1']::jsonb[]) \gset
SELECT outcome, seq FROM workflow_append_event(:group, 'note');
SELECT seq, kind FROM workflow_events(:group);

-- The kinds that the functions write are reserved.
SELECT * FROM workflow_append_event(:group, 'started');
SELECT * FROM workflow_append_event(:group, 'final');
\set VERBOSITY sqlstate
SELECT * FROM workflow_append_event(:group, 'step_dispatched');
SELECT * FROM workflow_append_event(:group, 'step_finalized');
SELECT * FROM workflow_append_event(:group, 'paused');
SELECT * FROM workflow_append_event(:group, 'resumed');
SELECT * FROM workflow_append_event(:group, 'cancel_requested');
SELECT * FROM workflow_append_event(:group, 'baton.mine');
\set VERBOSITY verbose

-- Full.
SET pg_baton.max_events_per_task = 4;
SELECT outcome, seq FROM workflow_append_event(:group, 'note', dedup_key => 'k');
\set VERBOSITY sqlstate
SELECT outcome, seq FROM workflow_append_event(:group, 'note');
\set VERBOSITY verbose
SELECT outcome, seq FROM workflow_append_event(:group, 'note', dedup_key => 'k');
-- The functions' own are exempt.
SELECT workflow_pause(:group, 'here');
SELECT max(seq) FROM workflow_events(:group);
RESET pg_baton.max_events_per_task;

-- Misuse.
SELECT * FROM workflow_append_event(NULL, 'note');
SELECT * FROM workflow_append_event(:group, NULL);
SELECT * FROM workflow_append_event(:group, '');
SELECT * FROM workflow_append_event(:group, repeat('k', 256));
SELECT * FROM workflow_append_event(:group, 'note', dedup_key => '');
SELECT * FROM workflow_append_event(:group, 'note', to_jsonb(repeat('x', 300000)));

SELECT * FROM baton_check(true);
