-- R5 on the extension: a plan is a run; each step's state is its own row, and no call writes the plan as a whole.

SELECT queue_create('plans', lease_ttl => '10 min');

-- The adopter's own link to the run and to the leases of its steps.
CREATE TABLE plan (plan_id int PRIMARY KEY, run_id bigint NOT NULL);
CREATE TABLE step (plan_id int, name text, task_id bigint NOT NULL, lease_token bigint NOT NULL, PRIMARY KEY (plan_id, name));

-- The adopter's own table, written with each report: how many steps have ended.
CREATE TABLE billing (plan_id int PRIMARY KEY, ended int NOT NULL DEFAULT 0);

CREATE PROCEDURE prepare(n int) LANGUAGE plpgsql AS $$
DECLARE
    run bigint;
BEGIN
    SELECT run_id INTO run FROM workflow_start(definition =>
        '{"steps": [{"name": "a", "queue": "plans"}, {"name": "b", "queue": "plans"}, {"name": "c", "queue": "plans"}], "on_error": "pause"}');
    INSERT INTO plan VALUES (n, run);
    INSERT INTO step SELECT n, t.name, t.task_id, l.lease_token
      FROM task_list(run_id => run) AS t, task_acquire_lease_by_id(t.task_id, 'worker') AS l;
    INSERT INTO billing VALUES (n);
END $$;

-- A step reports its end. The run is told with it: of a failure it pauses, there and then.
CREATE PROCEDURE report(n int, step text, new_state text, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM round_trip(ms);
    SELECT f.outcome INTO answer FROM step AS s, task_finalize(s.task_id, s.lease_token, new_state) AS f
     WHERE s.plan_id = n AND s.name = report.step;
    IF answer = 'finalized' THEN
        UPDATE billing SET ended = ended + 1 WHERE plan_id = n;
    END IF;
    INSERT INTO told SELECT n, step, 'report', r.state FROM plan AS p, workflow_get(p.run_id) AS r WHERE p.plan_id = n;
END $$;

-- One of them has failed, and the plan is paused at its checkpoint already. What the handler has to say goes into the run's metadata:
-- a field of its own.
CREATE PROCEDURE pause_on_error(n int, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    seen jsonb;
BEGIN
    SELECT r.counts INTO seen FROM plan AS p, workflow_get(p.run_id) AS r WHERE p.plan_id = n;
    PERFORM round_trip(ms);
    INSERT INTO told SELECT n, 'handler', 'pause', workflow_annotate(run_id, jsonb_build_object('seen', seen)) FROM plan WHERE plan_id = n;
END $$;

CREATE VIEW violation (contest, kind, own) AS
WITH run AS (
    SELECT p.plan_id, r.* FROM plan AS p, workflow_get(p.run_id) AS r
)
SELECT plan_id, 'steps still running', false FROM run WHERE counts ? 'running'
UNION ALL
SELECT plan_id, 'not 1 failed and 2 completed', false FROM run WHERE counts <> '{"failed": 1, "completed": 2}'
UNION ALL
SELECT plan_id, 'not paused at on_error', false FROM run WHERE (state, checkpoint) IS DISTINCT FROM ('paused', 'on_error')
UNION ALL
SELECT plan_id, 'what the handler wrote is lost', false FROM run WHERE NOT metadata ? 'seen'
UNION ALL
SELECT plan_id, 'billed otherwise than the plan says', true FROM billing JOIN run USING (plan_id)
 WHERE ended <> (SELECT sum(value::int) FROM jsonb_each_text(counts) WHERE key <> 'running');
