-- task_append_event, task_append_events: the tape, dense and in order, closed by `final`.

SELECT queue_create('q', lease_ttl => '1 min');
SELECT * FROM task_append_event(999999999, 'note');
SELECT task_id AS t FROM task_create('q') \gset
-- Without a token, in any state that is not terminal.
SELECT outcome, seq, at <= clock_timestamp() AS at, cancel_requested FROM task_append_event(:t, 'note', '{"by": "operator"}');
SELECT * FROM task_append_event(:t, 'note', lease_token => 1);
-- With the current token, expired or not.
SELECT lease_token AS l FROM task_acquire_lease('q', 'w', '100 ms') \gset
SELECT outcome, seq, cancel_requested FROM task_append_event(:t, 'progress', '{"percent": 10}', :l);
SELECT pg_sleep(0.12);
SELECT outcome, seq FROM task_append_event(:t, 'progress', '{"percent": 20}', :l);
SELECT outcome, seq FROM task_append_event(:t, 'progress', NULL, :l + 1);
-- A dedup key is appended once per tape: the answer is that event, whatever else the call says.
SELECT outcome, seq, at AS first_at FROM task_append_event(:t, 'mail sent', '{"to": "a"}', :l, 'mail 1') \gset
SELECT :'outcome' AS outcome, :seq AS seq;
SELECT outcome, seq, at = :'first_at' AS same_time, cancel_requested FROM task_append_event(:t, 'mail sent', '{"to": "a"}', :l, 'mail 1');
SELECT outcome, seq FROM task_append_event(:t, 'other kind', NULL, NULL, 'mail 1');
-- exists goes before lease_lost.
SELECT outcome, seq FROM task_append_event(:t, 'mail sent', NULL, :l + 1, 'mail 1');
SELECT outcome, seq FROM task_append_event(:t, 'mail sent', NULL, :l + 1, 'mail 2');
SELECT outcome, seq FROM task_append_event(:t, 'mail sent', NULL, :l, 'mail 2');
-- A cancel that was asked for is told.
SELECT outcome FROM task_cancel(:t);
SELECT outcome, seq, cancel_requested FROM task_append_event(:t, 'progress', lease_token => :l);
SELECT seq, kind, body, lease_token = :l AS token, at <= clock_timestamp() AS at FROM task_events(:t);

-- Batches: all or none.
SELECT * FROM task_append_events(:t, ARRAY['a', 'b', 'c'], ARRAY['1', NULL, '3']::jsonb[], :l);
SELECT * FROM task_append_events(:t, ARRAY['d', 'e'], ARRAY['4', '5']::jsonb[], :l, ARRAY['batch 1', NULL]);
-- One key is on the tape: nothing is written.
SELECT outcome, first_seq FROM task_append_events(:t, ARRAY['f', 'g'], ARRAY['6', '7']::jsonb[], :l, ARRAY[NULL, 'batch 1']);
SELECT outcome FROM task_append_events(:t, ARRAY['h'], ARRAY['8']::jsonb[], :l + 1);
SELECT * FROM task_append_events(999999999, ARRAY['h'], ARRAY['8']::jsonb[]);
-- Pages.
SELECT seq, kind, body FROM task_events(:t, after_seq => 9);
SELECT seq, kind, body FROM task_events(:t, 9, 2);
SELECT seq, kind, body FROM task_events(:t, 11, 2);
SELECT count(*) FROM task_events(:t, 14);
SELECT count(*) FROM task_events(999999999);

-- Reserved kinds, alone and in a batch.
SELECT * FROM task_append_event(:t, 'final');
CREATE FUNCTION pg_temp.error(sql text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE sql; RETURN 'no error'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT kind, pg_temp.error(format('SELECT task_append_event(%s, %L)', :t, kind))
FROM unnest(ARRAY['leased', 'started', 'lease_lost', 'retry_scheduled', 'released', 'cancel_requested', 'compensating', 'final', 'baton.', 'baton.anything']) kind;
SELECT * FROM task_append_events(:t, ARRAY['fine', 'baton.x'], ARRAY[NULL, NULL]::jsonb[]);
-- These are not.
SELECT kind, outcome FROM unnest(ARRAY['Final', 'baton', 'batonx', 'leased ', 'paused']) kind, task_append_event(:t, kind);

-- After the final event nothing is appended: the tape's highest seq is told, whoever asks.
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT seq AS final FROM task_events(:t) WHERE kind = 'final' \gset
SELECT outcome, seq = :final AS highest_seq, at FROM task_append_event(:t, 'late', '{}', :l);
SELECT outcome, seq = :final AS highest_seq, at FROM task_append_event(:t, 'late', '{}', 1);
SELECT outcome, seq = :final AS highest_seq, at FROM task_append_event(:t, 'late', '{}');
SELECT outcome, last_seq = :final AS highest_seq FROM task_append_events(:t, ARRAY['late', 'later'], ARRAY[NULL, NULL]::jsonb[], :l);
-- exists goes before dropped_after_final.
SELECT outcome, seq FROM task_append_event(:t, 'mail sent', NULL, :l, 'mail 1');
SELECT outcome, first_seq FROM task_append_events(:t, ARRAY['mail sent'], ARRAY[NULL]::jsonb[], :l, ARRAY['mail 1']);
SELECT count(*) AS events, min(seq), max(seq), count(*) FILTER (WHERE kind = 'final') AS final, max(seq) FILTER (WHERE kind = 'final') = max(seq) AS final_is_last FROM task_events(:t);
SELECT kind, body, lease_token = :l AS token FROM task_events(:t, :final - 1);

-- Limits.
SELECT task_id AS t FROM task_create('q') \gset
SET pg_baton.max_events_per_task = 3;
SELECT outcome, seq FROM task_append_event(:t, 'one');
SELECT * FROM task_append_events(:t, ARRAY['2', '3', '4'], ARRAY[NULL, NULL, NULL]::jsonb[]);
SELECT outcome, first_seq, last_seq FROM task_append_events(:t, ARRAY['2', '3'], ARRAY[NULL, NULL]::jsonb[]);
SELECT pg_temp.error(format('SELECT task_append_event(%s, %L)', :t, 'four'));
-- The functions' own events are exempt.
SELECT lease_token AS l FROM task_acquire_lease('q', 'w') \gset
SELECT outcome FROM task_start(:t, :l);
SELECT outcome FROM task_release(:t, :l);
SELECT outcome, state FROM task_cancel(:t);
SELECT seq, kind FROM task_events(:t);
-- It is over: that goes before the limit.
SELECT outcome, seq FROM task_append_event(:t, 'late');
RESET pg_baton.max_events_per_task;
SELECT task_id AS t FROM task_create('q') \gset
SELECT * FROM task_append_events(:t, '{}', '{}');
SELECT * FROM task_append_events(:t, ARRAY['a', 'b'], ARRAY['1']::jsonb[]);
SELECT * FROM task_append_events(:t, ARRAY['a', 'b'], ARRAY['1', '2']::jsonb[], dedup_keys => ARRAY['k']);
SELECT * FROM task_append_events(:t, ARRAY['a', 'b'], ARRAY['1', '2']::jsonb[], dedup_keys => ARRAY['k', 'k']);
SELECT * FROM task_append_events(:t, array_fill('a'::text, ARRAY[1001]), array_fill('1'::jsonb, ARRAY[1001]));
SELECT outcome, first_seq, last_seq FROM task_append_events(:t, array_fill('a'::text, ARRAY[1000]), array_fill('1'::jsonb, ARRAY[1000]));
SELECT count(*), max(seq) FROM task_events(:t);
SELECT count(*), max(seq) FROM task_events(:t, max_events => 100000);

SELECT * FROM baton_check(true);
