-- R1 on the extension: the same builds, slot and deploy.
--
-- The builds of a project are a group with max_parallel => 1 (the slot) and a successor (the deploy). There is no
-- running set to keep, no end time to write, no lock to take.

SELECT queue_create('builds', on_lost => 'requeue_unstarted');
SELECT queue_create('deploys');

-- The adopter's own tables: how many builds of a project have not ended, how often it was deployed, and which task is whose.
CREATE TABLE project (project_id int PRIMARY KEY, active int NOT NULL, deployed int NOT NULL DEFAULT 0);
CREATE TABLE build (
    project_id  int NOT NULL,
    build       int NOT NULL,
    task_id     bigint NOT NULL,
    lease_token bigint,
    PRIMARY KEY (project_id, build)
);

CREATE PROCEDURE prepare(n int) LANGUAGE plpgsql AS $$
DECLARE
    task  bigint;
    token bigint;
BEGIN
    INSERT INTO project (project_id, active) VALUES (n, 2);
    INSERT INTO build (project_id, build, task_id)
    SELECT n, item_index, task_id
      FROM task_create_items('builds', 'build', ARRAY['{}', '{}']::jsonb[], max_parallel => 1, successor => 'deploy',
                             successor_queue => 'deploys', successor_payload => jsonb_build_object('project', n));
    SELECT task_id INTO task FROM build WHERE project_id = n AND build = 0;
    SELECT lease_token INTO token FROM task_acquire_lease_by_id(task, 'runner-' || n, '10 min');
    PERFORM task_start(task, token);
    UPDATE build SET lease_token = token WHERE project_id = n AND build = 0;
END $$;

-- Node A: the runner has reported. Whoever is answered `finalized` writes what is its own beside it.
CREATE PROCEDURE report(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    this   build;
    answer text;
BEGIN
    PERFORM round_trip(later);
    SELECT * INTO this FROM build WHERE project_id = n AND build = 0;
    PERFORM round_trip(ms);
    SELECT outcome INTO answer FROM task_finalize(this.task_id, this.lease_token, 'completed');
    IF answer = 'finalized' THEN
        UPDATE project SET active = active - 1 WHERE project_id = n;
    END IF;
    INSERT INTO told VALUES (n, 'node A', 'report', answer);
END $$;

-- Node B: the runner has not been heard of. Its leases end up to the highest token that this node has seen.
CREATE PROCEDURE reconcile(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    seen   bigint;
    answer text;
BEGIN
    PERFORM round_trip(later);
    SELECT max(lease_token) INTO seen FROM task_list('builds', '{running}', owner => 'runner-' || n);
    PERFORM round_trip(ms);
    SELECT outcome INTO answer FROM task_reap_owner('runner-' || n, coalesce(seen, 0), 'runner lost');
    IF answer = 'failed' THEN
        UPDATE project SET active = active - 1 WHERE project_id = n;
    END IF;
    INSERT INTO told VALUES (n, 'node B', 'reconcile', coalesce(answer, 'nothing to end'));
END $$;

-- What comes after the contest: build 1, if it has the slot.
CREATE PROCEDURE go_on(n int) LANGUAGE plpgsql AS $$
DECLARE
    task  bigint;
    token bigint;
BEGIN
    SELECT task_id INTO task FROM build WHERE project_id = n AND build = 1;
    SELECT lease_token INTO token FROM task_acquire_lease_by_id(task, 'runner-' || n || '-1');
    PERFORM FROM task_finalize(task, coalesce(token, 0), 'completed') WHERE outcome = 'finalized';
    IF FOUND THEN
        UPDATE project SET active = active - 1 WHERE project_id = n;
    END IF;
END $$;

-- A deploy does its work, whosever it is. Says whether there was one.
CREATE FUNCTION deploy() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    this record;
BEGIN
    SELECT task_id, lease_token, (payload ->> 'project')::int AS project_id INTO this FROM task_acquire_lease('deploys', 'deployer');
    IF FOUND THEN
        UPDATE project SET deployed = deployed + 1 WHERE project_id = this.project_id;
        PERFORM task_finalize(this.task_id, this.lease_token, 'completed');
    END IF;
    RETURN this.task_id IS NOT NULL;
END $$;

CREATE VIEW violation (contest, kind, own) AS
WITH task AS (
    SELECT project_id, build, t.* FROM build, task_get(task_id) AS t),
deploys AS (
    SELECT payload, count(*) FROM baton.task WHERE name = 'deploy' GROUP BY payload)
SELECT project_id, 'ended for both nodes, or for none', false FROM project
 WHERE (SELECT count(*) FROM told WHERE contest = project_id AND outcome IN ('finalized', 'failed')) <> 1
UNION ALL
SELECT project_id, 'told otherwise than stored', false FROM task
 WHERE build = 0 AND state IS DISTINCT FROM (SELECT CASE outcome WHEN 'finalized' THEN 'completed' ELSE outcome END
    FROM told WHERE contest = project_id AND outcome IN ('finalized', 'failed') LIMIT 1)
UNION ALL
SELECT project_id, 'no end time', false FROM task WHERE build = 0 AND finalized_at IS NULL
UNION ALL
SELECT project_id, 'still in the running set', false FROM build JOIN baton.leases USING (task_id)
UNION ALL
SELECT project_id, 'slot left taken', false FROM build JOIN baton.slot ON holder = task_id
UNION ALL
SELECT project_id, 'the other build never begins', false FROM task WHERE build = 1 AND state <> 'completed'
UNION ALL
SELECT project_id, 'follow-up not moved', false
  FROM project LEFT JOIN deploys ON payload = jsonb_build_object('project', project_id)
 WHERE count IS DISTINCT FROM 1
UNION ALL
SELECT project_id, 'active count', true FROM project WHERE active <> 0
UNION ALL
SELECT project_id, 'not deployed once', true FROM project WHERE deployed <> 1;
