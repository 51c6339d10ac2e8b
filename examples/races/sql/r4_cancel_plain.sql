-- R4 in plain SQL, the other half: a cancel against the runner's first step.

CREATE TABLE task (task_id int PRIMARY KEY, state text NOT NULL DEFAULT 'pending', cancel_requested boolean NOT NULL DEFAULT false);
CREATE TABLE event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id  int NOT NULL,
    kind     text NOT NULL
);
CREATE INDEX ON event (task_id, event_id);

-- The adopter's own table: what its users see.
CREATE TABLE request (task_id int PRIMARY KEY, shown_as text NOT NULL DEFAULT 'pending');

CREATE PROCEDURE prepare(n int) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO task (task_id) VALUES (n);
    INSERT INTO request VALUES (n);
END $$;

-- The runner: its first step, and its end.
CREATE PROCEDURE run(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    cancelled boolean;
    new_state text;
BEGIN
    PERFORM round_trip(later);
    SELECT cancel_requested INTO cancelled FROM task WHERE task_id = n;
    PERFORM round_trip(ms);
    -- Wrong: cancelled before the first step, so that none of its code runs, and least of all the handler that ends the task.
    IF cancelled THEN
        INSERT INTO told VALUES (n, 'runner', 'begin', 'cancelled before it began');
        RETURN;
    END IF;
    UPDATE task SET state = 'running' WHERE task_id = n;
    INSERT INTO told VALUES (n, 'runner', 'begin', 'began');
    COMMIT;
    PERFORM round_trip(ms);
    SELECT CASE WHEN cancel_requested THEN 'cancelled' ELSE 'completed' END INTO new_state FROM task WHERE task_id = n;
    UPDATE task SET state = new_state WHERE task_id = n;
    INSERT INTO event (task_id, kind) VALUES (n, 'final');
    UPDATE request SET shown_as = new_state WHERE task_id = n;
END $$;

-- The manager: a flag that the runner is to see.
CREATE PROCEDURE cancel(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    seen text;
BEGIN
    PERFORM round_trip(later);
    SELECT state INTO seen FROM task WHERE task_id = n;
    PERFORM round_trip(ms);
    -- Wrong: a task that was open when it was read may have ended; and one that never begins sees no flag.
    IF seen IN ('pending', 'running') THEN
        UPDATE task SET cancel_requested = true WHERE task_id = n;
        UPDATE request SET shown_as = 'cancelled' WHERE task_id = n;
        INSERT INTO told VALUES (n, 'manager', 'cancel', 'cancelled');
    ELSE
        INSERT INTO told VALUES (n, 'manager', 'cancel', 'terminal');
    END IF;
END $$;

CREATE VIEW violation (contest, kind, own) AS
SELECT task_id, 'pending for ever, without final', false FROM task WHERE state = 'pending'
UNION ALL
SELECT task_id, 'completed after it was cancelled', false FROM task
 WHERE state = 'completed' AND EXISTS (SELECT FROM told WHERE contest = task_id AND call = 'cancel' AND outcome = 'cancelled')
UNION ALL
SELECT task_id, 'shown otherwise than it is', true FROM request JOIN task USING (task_id) WHERE shown_as <> state;
