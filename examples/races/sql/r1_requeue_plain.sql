-- R1 in plain SQL, the other half: a requeue that reads and then writes, against the runner's beginning.

CREATE TABLE build (
    build_id   int PRIMARY KEY,
    state      text NOT NULL,
    owner      text,
    started_at timestamptz
);

-- The adopter's own table: what a runner works on.
CREATE TABLE runner (runner_id int PRIMARY KEY, works_on int);

CREATE PROCEDURE prepare(n int) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO build VALUES (n, 'assigned', 'runner-' || n);
    INSERT INTO runner VALUES (n);
END $$;

-- Node A: the runner begins.
CREATE PROCEDURE start(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM round_trip(later + ms);
    UPDATE build SET state = 'running', started_at = clock_timestamp() WHERE build_id = n AND state = 'assigned';
    IF NOT FOUND THEN
        INSERT INTO told VALUES (n, 'node A', 'start', 'lease_lost');
        RETURN;
    END IF;
    UPDATE runner SET works_on = n WHERE runner_id = n;
    INSERT INTO told VALUES (n, 'node A', 'start', 'started');
END $$;

-- Node B: puts builds that nobody has begun back in line.
CREATE PROCEDURE requeue(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    seen text;
BEGIN
    PERFORM round_trip(later);
    SELECT state INTO seen FROM build WHERE build_id = n;
    PERFORM round_trip(ms);
    -- Wrong: it may have begun since.
    IF seen = 'assigned' THEN
        UPDATE build SET state = 'waiting', owner = NULL, started_at = NULL WHERE build_id = n;
        UPDATE runner SET works_on = NULL WHERE runner_id = n;
        INSERT INTO told VALUES (n, 'node B', 'requeue', 'released');
    ELSE
        INSERT INTO told VALUES (n, 'node B', 'requeue', 'started');
    END IF;
END $$;

-- What comes after: another runner takes what is in line.
CREATE PROCEDURE take_again(n int) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE build SET state = 'running', owner = 'runner-x' WHERE build_id = n AND state = 'waiting';
    IF FOUND THEN
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
SELECT runner_id, 'what the runner works on', true FROM runner
 WHERE (works_on IS NOT NULL) <> EXISTS (SELECT FROM told WHERE contest = runner_id AND call = 'start' AND outcome = 'started');
