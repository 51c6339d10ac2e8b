-- R4 on the extension, the other half: what has not begun ends at once, with its final event; what has begun is asked to stop.

SELECT queue_create('agents', lease_ttl => '10 min');

-- The adopter's own table: what its users see, and which task it is.
CREATE TABLE request (n int PRIMARY KEY, task_id bigint NOT NULL, shown_as text NOT NULL DEFAULT 'pending');

CREATE PROCEDURE prepare(n int) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO request SELECT n, task_id FROM task_create('agents');
END $$;

-- The runner: its first step, and its end.
CREATE PROCEDURE run(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    this      request;
    lease     record;
    cancelled boolean;
    new_state text;
BEGIN
    PERFORM round_trip(later);
    SELECT * INTO this FROM request WHERE request.n = run.n;
    PERFORM round_trip(ms);
    SELECT * INTO lease FROM task_acquire_lease_by_id(this.task_id, 'runner');
    IF lease.outcome <> 'acquired' THEN
        INSERT INTO told VALUES (n, 'runner', 'begin', 'cancelled before it began');
        RETURN;
    END IF;
    INSERT INTO told VALUES (n, 'runner', 'begin', 'began');
    COMMIT;
    PERFORM round_trip(ms);
    SELECT cancel_requested INTO cancelled FROM task_heartbeat(this.task_id, lease.lease_token, '20 min');
    new_state := CASE WHEN cancelled THEN 'cancelled' ELSE 'completed' END;
    PERFORM FROM task_finalize(this.task_id, lease.lease_token, new_state) WHERE outcome = 'finalized';
    IF FOUND THEN
        UPDATE request SET shown_as = new_state WHERE request.n = run.n;
    END IF;
END $$;

-- The manager. `cancelled` is the end, `cancel_requested` is not: then the runner's end counts.
CREATE PROCEDURE cancel(n int, later float8, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    this   request;
    answer text;
BEGIN
    PERFORM round_trip(later);
    SELECT * INTO this FROM request WHERE request.n = cancel.n;
    PERFORM round_trip(ms);
    SELECT outcome INTO answer FROM task_cancel(this.task_id, 'not needed');
    IF answer = 'cancelled' THEN
        UPDATE request SET shown_as = 'cancelled' WHERE request.n = cancel.n;
    END IF;
    INSERT INTO told VALUES (n, 'manager', 'cancel', answer);
END $$;

CREATE VIEW violation (contest, kind, own) AS
WITH task AS (
    SELECT n, shown_as, task.state, (SELECT kind FROM task_events(task.task_id) ORDER BY seq DESC LIMIT 1) AS last
      FROM request, task_get(request.task_id) AS task)
SELECT n, 'pending for ever, without final', false FROM task WHERE state NOT IN ('completed', 'cancelled') OR last IS DISTINCT FROM 'final'
UNION ALL
SELECT n, 'completed after it was cancelled', false FROM task
 WHERE state = 'completed' AND EXISTS (SELECT FROM told WHERE contest = n AND call = 'cancel' AND outcome = 'cancelled')
UNION ALL
SELECT n, 'shown otherwise than it is', true FROM task WHERE shown_as <> state;
