-- R1 in plain SQL: a runner's report on node A against the reconciler on node B.
--
-- A project has two builds, one slot, and a deploy that follows them. Build 0 is running when its runner reports the
-- end of it and the reconciler declares that runner lost.

CREATE TABLE build (
    project_id int NOT NULL,
    build      int NOT NULL,
    state      text NOT NULL DEFAULT 'waiting',
    owner      text,
    ended_at   timestamptz,
    PRIMARY KEY (project_id, build)
);
CREATE TABLE running_set (project_id int, build int, PRIMARY KEY (project_id, build));
CREATE TABLE slot (project_id int PRIMARY KEY, taken int NOT NULL);
CREATE TABLE deploy (project_id int NOT NULL);
CREATE TABLE deployed (project_id int NOT NULL);
CREATE INDEX ON deployed (project_id);

-- The adopter's own table: how many builds of a project have not ended, and how often it was deployed.
CREATE TABLE project (project_id int PRIMARY KEY, active int NOT NULL, deployed int NOT NULL DEFAULT 0);

CREATE PROCEDURE prepare(n int) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO project (project_id, active) VALUES (n, 2);
    INSERT INTO slot VALUES (n, 1);
    INSERT INTO build (project_id, build, state, owner) VALUES (n, 0, 'running', 'runner-' || n);
    INSERT INTO build (project_id, build) VALUES (n, 1);
    INSERT INTO running_set VALUES (n, 0);
END $$;

-- Everything that belongs to an end, apart from the end.
CREATE PROCEDURE wind_up(n int, which int) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE build SET ended_at = clock_timestamp() WHERE project_id = n AND build = which;
    DELETE FROM running_set WHERE project_id = n AND build = which;
    UPDATE slot SET taken = taken - 1 WHERE project_id = n;
    UPDATE project SET active = active - 1 WHERE project_id = n;
END $$;

-- Node A: the runner has reported. The row says so at once, for whoever looks; the rest is done under the finalize
-- lock, which both nodes know.
CREATE PROCEDURE report(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM round_trip(later);
    UPDATE build SET state = 'completed' WHERE project_id = n AND build = 0 AND state = 'running';
    IF NOT FOUND THEN
        INSERT INTO told VALUES (n, 'node A', 'report', 'terminal');
        RETURN;
    END IF;
    INSERT INTO told VALUES (n, 'node A', 'report', 'finalized');
    COMMIT;
    PERFORM round_trip(ms);
    -- Wrong: who holds the lock need not be doing what this node was about to do.
    IF NOT pg_try_advisory_lock(n) THEN
        RETURN;
    END IF;
    CALL wind_up(n, 0);
    COMMIT;
    PERFORM pg_advisory_unlock(n);
END $$;

-- Node B: the runner has not been heard of.
CREATE PROCEDURE reconcile(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    seen text;
BEGIN
    PERFORM round_trip(later);
    IF NOT pg_try_advisory_lock(n) THEN
        RETURN;
    END IF;
    SELECT state INTO seen FROM build WHERE project_id = n AND build = 0;
    PERFORM round_trip(ms);
    -- Wrong: a state that is terminal does not say that the rest is done; and one that is not may have become so.
    IF seen = 'running' THEN
        UPDATE build SET state = 'failed' WHERE project_id = n AND build = 0;
        INSERT INTO told VALUES (n, 'node B', 'reconcile', 'failed');
        CALL wind_up(n, 0);
        COMMIT;
    END IF;
    PERFORM pg_advisory_unlock(n);
END $$;

-- What comes after the contest, with nobody in the way: the slot's turn is build 1's, and when no build is open the
-- deploy follows.
CREATE PROCEDURE go_on(n int) LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT taken FROM slot WHERE project_id = n) < 1 THEN
        UPDATE slot SET taken = taken + 1 WHERE project_id = n;
        UPDATE build SET state = 'completed' WHERE project_id = n AND build = 1;
        CALL wind_up(n, 1);
    END IF;
    IF NOT EXISTS (SELECT FROM build WHERE project_id = n AND ended_at IS NULL) THEN
        INSERT INTO deploy VALUES (n);
    END IF;
END $$;

-- A deploy does its work, whosever it is. Says whether there was one.
CREATE FUNCTION deploy() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    this int;
BEGIN
    DELETE FROM deploy WHERE ctid = (SELECT ctid FROM deploy LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING project_id INTO this;
    IF FOUND THEN
        UPDATE project SET deployed = deployed + 1 WHERE project_id = this;
        INSERT INTO deployed VALUES (this);
    END IF;
    RETURN this IS NOT NULL;
END $$;

CREATE VIEW violation (contest, kind, own) AS
SELECT project_id, 'ended for both nodes, or for none', false FROM project
 WHERE (SELECT count(*) FROM told WHERE contest = project_id AND outcome IN ('finalized', 'failed')) <> 1
UNION ALL
SELECT project_id, 'no end time', false FROM build WHERE build = 0 AND ended_at IS NULL
UNION ALL
SELECT project_id, 'still in the running set', false FROM running_set
UNION ALL
SELECT project_id, CASE WHEN taken > 0 THEN 'slot left taken' ELSE 'slot freed twice' END, false FROM slot WHERE taken <> 0
UNION ALL
SELECT project_id, 'the other build never begins', false FROM build WHERE build = 1 AND state = 'waiting'
UNION ALL
SELECT project_id, 'follow-up not moved', false FROM project
 WHERE (SELECT count(*) FROM deployed AS d WHERE d.project_id = project.project_id) <> 1
UNION ALL
SELECT project_id, 'active count', true FROM project WHERE active <> 0
UNION ALL
SELECT project_id, 'not deployed once', true FROM project WHERE deployed <> 1;
