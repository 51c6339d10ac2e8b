-- R4 on the extension: the tape is closed by what ends the task.

SELECT queue_create('agents', lease_ttl => '10 min');

-- The manager's own link, and the consumer's own table: how far it has read, what it shows, whether it has seen `final`.
CREATE TABLE agent (n int PRIMARY KEY, task_id bigint NOT NULL, lease_token bigint NOT NULL);
CREATE TABLE shown (task_id int PRIMARY KEY, read_up_to bigint NOT NULL DEFAULT 0, percent int NOT NULL DEFAULT 0, ended boolean NOT NULL DEFAULT false);

CREATE PROCEDURE prepare(n int) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO agent SELECT n, made.task_id, lease_token
      FROM task_create('agents') AS made, task_acquire_lease_by_id(made.task_id, 'runner');
    INSERT INTO shown VALUES (n);
END $$;

-- The runner, in a thread that a cancel does not stop.
CREATE FUNCTION progress(n int, percent int, ms float8) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    this   agent;
    answer text;
BEGIN
    SELECT * INTO this FROM agent WHERE agent.n = progress.n;
    PERFORM round_trip(ms);
    SELECT outcome INTO answer
      FROM task_append_event(this.task_id, 'progress', jsonb_build_object('percent', percent), lease_token => this.lease_token);
    IF answer <> 'appended' THEN
        INSERT INTO told VALUES (n, 'runner', 'progress', answer);
    END IF;
    RETURN answer;
END $$;

-- The manager ends the task: it finalizes with the lease it handed to the runner, or it cancels by force.
CREATE PROCEDURE finish(n int, new_state text, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    this   agent;
    answer text;
BEGIN
    SELECT * INTO this FROM agent WHERE agent.n = finish.n;
    PERFORM round_trip(ms);
    IF new_state = 'cancelled' THEN
        SELECT outcome INTO answer FROM task_cancel(this.task_id, 'not needed', force => true);
    ELSE
        SELECT state INTO answer FROM task_finalize(this.task_id, this.lease_token, new_state);
    END IF;
    INSERT INTO told VALUES (n, 'manager', 'finish', answer);
END $$;

-- The consumer reads what is new, until it sees `final`.
CREATE FUNCTION follow(n int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    fresh record;
    done  boolean;
BEGIN
    FOR fresh IN SELECT e.* FROM agent AS a, shown AS s, task_events(a.task_id, s.read_up_to) AS e
                  WHERE a.n = follow.n AND s.task_id = follow.n ORDER BY e.seq LOOP
        UPDATE shown SET read_up_to = fresh.seq, percent = coalesce((fresh.body ->> 'percent')::int, shown.percent), ended = fresh.kind = 'final'
         WHERE task_id = n;
    END LOOP;
    SELECT ended INTO done FROM shown WHERE task_id = n;
    RETURN done;
END $$;

CREATE VIEW violation (contest, kind, own) AS
WITH tape AS (
    SELECT n AS task_id, (array_agg(kind ORDER BY seq DESC))[1] AS last, count(*) FILTER (WHERE kind = 'final') AS finals,
           coalesce(max((body ->> 'percent')::int), 0) AS percent, max(seq) - count(*) AS gaps
      FROM agent, task_events(task_id) GROUP BY n)
SELECT task_id, 'tape does not end in final', false FROM tape WHERE last <> 'final'
UNION ALL
SELECT task_id, 'none or two finals', false FROM shown LEFT JOIN tape USING (task_id) WHERE finals IS DISTINCT FROM 1
UNION ALL
SELECT task_id, 'seq has a gap', false FROM tape WHERE gaps <> 0
UNION ALL
SELECT task_id, 'consumer waits for ever', true FROM shown WHERE NOT ended
UNION ALL
SELECT task_id, 'consumer shows less than the tape', true FROM shown JOIN tape USING (task_id) WHERE shown.percent <> tape.percent;
