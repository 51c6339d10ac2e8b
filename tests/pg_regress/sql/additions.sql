-- What somebody adds to a table of the extension is heeded where rows are written without a statement: indexes over pages, over expressions, over
-- some rows, unique ones, and constraints.

SELECT queue_create('q');
CREATE INDEX live_pages ON baton.task_live USING brin (lease_expires_at) WITH (pages_per_range = 1);
SELECT count(*) FROM task_create_many('q', array_fill('{}'::jsonb, '{300}'));
-- What a page has is known before it changes.
SELECT brin_summarize_new_values('baton.live_pages') > 0 AS known;
SELECT count(*) FROM task_acquire_lease('q', 'w', '1 min', max_tasks => 200) AS a, task_heartbeat(a.task_id, a.lease_token, '1 hour');
SET enable_indexscan = off; SET enable_bitmapscan = off;
SELECT count(*) FROM baton.task_live WHERE lease_expires_at > now() + interval '30 min';
RESET ALL; SET enable_seqscan = off; SET enable_indexscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM baton.task_live WHERE lease_expires_at > now() + interval '30 min';
SELECT count(*) FROM baton.task_live WHERE lease_expires_at > now() + interval '30 min';
RESET ALL; SET enable_seqscan = off; SET enable_bitmapscan = off;
CREATE INDEX live_expression ON baton.task_live ((lease_expires_at - leased_at));
CREATE INDEX live_some ON baton.task_live (heartbeat_at) WHERE lease_expires_at - leased_at > '90 min';
SELECT count(*) FROM baton.task_live AS l, task_heartbeat(l.task_id, l.lease_token, '2 hours') WHERE l.lease_token IS NOT NULL;
EXPLAIN (COSTS OFF) SELECT count(*) FROM baton.task_live WHERE lease_expires_at - leased_at > '80 min';
SELECT count(*) FROM baton.task_live WHERE lease_expires_at - leased_at > '80 min';
EXPLAIN (COSTS OFF) SELECT count(*) FROM baton.task_live WHERE lease_expires_at - leased_at > '90 min' AND heartbeat_at IS NOT NULL;
SELECT count(*) FROM baton.task_live WHERE lease_expires_at - leased_at > '90 min' AND heartbeat_at IS NOT NULL;
RESET ALL;

-- A unique index over an expression; a check, and one that only says what should be, which 18 has.
SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('q', 'w') \gset
CREATE UNIQUE INDEX event_once ON baton.event (tape_id, (body ->> 'once'));
SELECT outcome FROM task_append_event(:t, 'e', '{"once": 1}', :l);
SELECT outcome FROM task_append_event(:t, 'e', '{"once": 1}', :l);
DROP INDEX baton.event_once;
ALTER TABLE baton.event ADD CONSTRAINT short CHECK (length(kind) < 10) NOT VALID;
SELECT outcome FROM task_append_event(:t, 'eleven_long', '{}', :l);
ALTER TABLE baton.event DROP CONSTRAINT short;
SELECT current_setting('server_version_num')::int >= 180000 AS has_wishes \gset
\if :has_wishes
ALTER TABLE baton.event ADD CONSTRAINT short CHECK (length(kind) < 10) NOT ENFORCED;
\endif
SELECT outcome FROM task_append_event(:t, 'eleven_long', '{}', :l);
\if :has_wishes
ALTER TABLE baton.event DROP CONSTRAINT short;
\endif
ALTER TABLE baton.task_live ADD CONSTRAINT beat CHECK (heartbeat_at IS NOT NULL OR state <> 3) NOT VALID;
SELECT count(*) FROM task_acquire_lease('q', 'w');
ALTER TABLE baton.task_live DROP CONSTRAINT beat;
SELECT outcome FROM task_finalize(:t, :l, 'completed');
SELECT * FROM baton_check(true);
