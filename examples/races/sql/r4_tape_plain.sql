-- R4 in plain SQL: a runner's progress against the manager's `final`, and a consumer that follows the tape.

CREATE TABLE task (task_id int PRIMARY KEY, state text NOT NULL);
CREATE TABLE event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id  int NOT NULL,
    kind     text NOT NULL,
    percent  int
);
CREATE INDEX ON event (task_id, event_id);

-- The consumer's own table: how far it has read, what it shows, whether the last thing it saw was `final`.
CREATE TABLE shown (task_id int PRIMARY KEY, read_up_to bigint NOT NULL DEFAULT 0, percent int NOT NULL DEFAULT 0, ended boolean NOT NULL DEFAULT false);

CREATE PROCEDURE prepare(n int) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO task VALUES (n, 'running');
    INSERT INTO shown VALUES (n);
END $$;

-- The runner, in a thread that a cancel does not stop.
CREATE FUNCTION progress(n int, percent int, ms float8) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    seen text;
BEGIN
    SELECT state INTO seen FROM task WHERE task_id = n;
    PERFORM round_trip(ms);
    -- Wrong: it may have ended since.
    IF seen <> 'running' THEN
        INSERT INTO told VALUES (n, 'runner', 'progress', 'dropped_after_final');
        RETURN 'dropped_after_final';
    END IF;
    INSERT INTO event (task_id, kind, percent) VALUES (n, 'progress', percent);
    RETURN 'appended';
END $$;

-- The manager ends the task.
CREATE PROCEDURE finish(n int, new_state text, ms float8) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM round_trip(ms);
    UPDATE task SET state = new_state WHERE task_id = n;
    INSERT INTO event (task_id, kind) VALUES (n, 'final');
    INSERT INTO told VALUES (n, 'manager', 'finish', new_state);
END $$;

-- The consumer reads what is new; it waits until the last event is `final`.
CREATE FUNCTION follow(n int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    fresh event;
    done  boolean;
BEGIN
    FOR fresh IN SELECT e.* FROM event AS e, shown AS s WHERE s.task_id = n AND e.task_id = n AND e.event_id > s.read_up_to
                  ORDER BY e.event_id LOOP
        UPDATE shown SET read_up_to = fresh.event_id, percent = coalesce(fresh.percent, shown.percent), ended = fresh.kind = 'final'
         WHERE task_id = n;
    END LOOP;
    SELECT ended INTO done FROM shown WHERE task_id = n;
    RETURN done;
END $$;

CREATE VIEW violation (contest, kind, own) AS
WITH tape AS (
    SELECT task_id, (array_agg(kind ORDER BY event_id DESC))[1] AS last, count(*) FILTER (WHERE kind = 'final') AS finals,
           coalesce(max(percent), 0) AS percent
      FROM event GROUP BY task_id)
SELECT task_id, 'tape does not end in final', false FROM tape WHERE last <> 'final'
UNION ALL
SELECT task_id, 'none or two finals', false FROM task LEFT JOIN tape USING (task_id) WHERE finals IS DISTINCT FROM 1
UNION ALL
SELECT task_id, 'consumer waits for ever', true FROM shown WHERE NOT ended
UNION ALL
SELECT task_id, 'consumer shows less than the tape', true FROM shown JOIN tape USING (task_id) WHERE shown.percent <> tape.percent;
