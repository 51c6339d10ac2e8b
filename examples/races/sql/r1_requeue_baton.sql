-- R1 on the extension, the other half: the requeue says "unless it has begun", and is answered under the lock.

SELECT queue_create('builds');

-- The adopter's own tables: what a runner works on, and which task is whose.
CREATE TABLE runner (runner_id int PRIMARY KEY, works_on int);
CREATE TABLE build (build_id int PRIMARY KEY, task_id bigint NOT NULL, lease_token bigint NOT NULL);

CREATE PROCEDURE prepare(n int) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO runner VALUES (n);
    INSERT INTO build
    SELECT n, made.task_id, lease_token
      FROM task_create('builds', key => n::text) AS made, task_acquire_lease_by_id(made.task_id, 'runner-' || n);
END $$;

-- Node A: the runner begins.
CREATE PROCEDURE start(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    this   build;
    answer text;
BEGIN
    SELECT * INTO this FROM build WHERE build_id = n;
    PERFORM round_trip(later + ms);
    SELECT outcome INTO answer FROM task_start(this.task_id, this.lease_token);
    IF answer = 'started' THEN
        UPDATE runner SET works_on = n WHERE runner_id = n;
    END IF;
    INSERT INTO told VALUES (n, 'node A', 'start', answer);
END $$;

-- Node B: puts builds that nobody has begun back in line.
CREATE PROCEDURE requeue(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    this   build;
    answer text;
BEGIN
    PERFORM round_trip(later);
    SELECT * INTO this FROM build WHERE build_id = n;
    PERFORM round_trip(ms);
    SELECT outcome INTO answer FROM task_release(this.task_id, this.lease_token, unless_started => true);
    IF answer = 'released' THEN
        UPDATE runner SET works_on = NULL WHERE runner_id = n;
    END IF;
    INSERT INTO told VALUES (n, 'node B', 'requeue', answer);
END $$;

-- What comes after: another runner takes what is in line.
CREATE PROCEDURE take_again(n int) LANGUAGE plpgsql AS $$
DECLARE
    task   bigint;
    answer text;
BEGIN
    SELECT task_id INTO task FROM build WHERE build_id = n;
    SELECT outcome INTO answer FROM task_acquire_lease_by_id(task, 'runner-x');
    IF answer = 'acquired' THEN
        INSERT INTO told VALUES (n, 'node C', 'take_again', 'started');
    END IF;
END $$;

CREATE VIEW violation (contest, kind, own) AS
SELECT build_id, 'requeued although it had begun', false FROM build
 WHERE (SELECT count(*) FROM told WHERE contest = build_id AND (call, outcome) IN (('start', 'started'), ('requeue', 'released'))) > 1
UNION ALL
SELECT build_id, 'runs on two runners', false FROM build
 WHERE (SELECT count(*) FROM told WHERE contest = build_id AND call <> 'requeue' AND outcome = 'started') > 1
UNION ALL
SELECT build_id, 'runs on none', false FROM build
 WHERE NOT EXISTS (SELECT FROM told WHERE contest = build_id AND call <> 'requeue' AND outcome = 'started')
UNION ALL
SELECT build_id, 'told otherwise than stored', false FROM build, task_get(task_id) AS task
 WHERE (task.owner = 'runner-' || build_id) IS DISTINCT FROM EXISTS
       (SELECT FROM told WHERE contest = build_id AND call = 'start' AND outcome = 'started')
UNION ALL
SELECT runner_id, 'what the runner works on', true FROM runner
 WHERE (works_on IS NOT NULL) <> EXISTS (SELECT FROM told WHERE contest = runner_id AND call = 'start' AND outcome = 'started');
