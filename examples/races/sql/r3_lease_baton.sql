-- R3 on the extension: the record is the adopter's own, the lease is the task's.

SELECT queue_create('sagas', on_lost => 'requeue', max_lost_leases => 10);

-- The adopter's own table, written in the same transactions: how often the saga was opened, taken and closed, and as what.
CREATE TABLE payment (
    key       int PRIMARY KEY,
    opened    int NOT NULL,
    taken     int NOT NULL DEFAULT 0,
    closed    int NOT NULL DEFAULT 0,
    closed_as text
);

CREATE FUNCTION create_saga(n int, who text, ms float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM round_trip(ms);
    SELECT outcome INTO answer FROM task_create('sagas', '{"amount": 20}', key => n::text);
    IF answer = 'created' THEN
        INSERT INTO payment VALUES (n, 1) ON CONFLICT (key) DO UPDATE SET opened = payment.opened + 1;
    END IF;
    INSERT INTO told VALUES (n, who, 'create', answer);
END $$;

CREATE FUNCTION acquire(n int, who text, ttl interval, phase text, ms float8, OUT outcome text, OUT token bigint) LANGUAGE plpgsql AS $$
DECLARE
    task       bigint;
    expires_at timestamptz;
BEGIN
    SELECT task_id INTO task FROM task_get_by_key('sagas', n::text);
    PERFORM round_trip(ms);
    SELECT t.outcome, t.lease_token, t.lease_expires_at INTO outcome, token, expires_at FROM task_acquire_lease_by_id(task, who, ttl) AS t;
    IF outcome = 'acquired' THEN
        UPDATE payment SET taken = taken + 1 WHERE key = n;
        INSERT INTO told VALUES (n, who, phase, outcome, expires_at - ttl, expires_at);
    ELSE
        INSERT INTO told VALUES (n, who, phase, outcome);
    END IF;
END $$;

CREATE FUNCTION heartbeat(n int, who text, token bigint, ttl interval, phase text, ms float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    task bigint;
BEGIN
    SELECT task_id INTO task FROM task_get_by_key('sagas', n::text);
    PERFORM round_trip(ms);
    INSERT INTO told
    SELECT n, who, phase, outcome, CASE outcome WHEN 'extended' THEN lease_expires_at - ttl END,
           CASE outcome WHEN 'extended' THEN lease_expires_at END
      FROM task_heartbeat(task, token, ttl);
END $$;

CREATE FUNCTION finalize(n int, who text, token bigint, new_state text, why text, ms float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    task   bigint;
    answer text;
BEGIN
    SELECT task_id INTO task FROM task_get_by_key('sagas', n::text);
    PERFORM round_trip(ms);
    SELECT outcome INTO answer FROM task_finalize(task, token, new_state, reason => why);
    IF answer = 'finalized' THEN
        UPDATE payment SET closed = closed + 1, closed_as = new_state WHERE key = n;
    END IF;
    INSERT INTO told VALUES (n, who, 'finalize', answer);
END $$;

-- Everything of a saga that a heartbeat which does not count must leave alone.
CREATE FUNCTION look(n int) RETURNS text LANGUAGE sql AS $$
    SELECT task::text FROM task_get_by_key('sagas', n::text) AS task
$$;

CREATE VIEW violation (contest, kind, own) AS
WITH overlap AS (
    SELECT one.contest, one.call IN ('take over', 'late heartbeat') AND two.call IN ('take over', 'late heartbeat') AS late
      FROM told AS one JOIN told AS two ON one.contest = two.contest AND one.who < two.who
       AND tstzrange(one.from_at, one.until_at) && tstzrange(two.from_at, two.until_at)
     WHERE one.from_at IS NOT NULL AND two.from_at IS NOT NULL),
saga AS (
    SELECT p.key, task.state, task.reason FROM payment AS p LEFT JOIN LATERAL task_get_by_key('sagas', p.key::text) AS task ON true)
SELECT contest, 'created twice', false FROM told WHERE call = 'create' AND outcome = 'created' GROUP BY 1 HAVING count(*) <> 1
UNION ALL
SELECT DISTINCT contest, 'two holders at a time', false FROM overlap WHERE NOT late
UNION ALL
SELECT contest, 'a heartbeat that must not count changed the lease', false FROM told
 WHERE call = 'look' AND outcome = 'changed' GROUP BY 1
UNION ALL
SELECT contest, 'a heartbeat that must not count was answered otherwise', false FROM told
 WHERE call LIKE 'wrong heartbeat%' AND outcome NOT IN ('lease_lost', 'lease_expired', 'not_extended') GROUP BY 1
UNION ALL
SELECT DISTINCT contest, 'two holders at a time, after an expiry', false FROM overlap WHERE late
UNION ALL
SELECT contest, 'ended twice', false FROM told WHERE call = 'finalize' AND outcome = 'finalized' GROUP BY 1 HAVING count(*) > 1
UNION ALL
SELECT key, 'ended, and active again', false FROM saga
 WHERE state NOT IN ('completed', 'failed', 'quarantined')
   AND EXISTS (SELECT FROM told WHERE contest = key AND call = 'finalize' AND outcome = 'finalized')
UNION ALL
SELECT key, 'ended without a reason', false FROM saga WHERE state IN ('completed', 'failed', 'quarantined') AND reason IS NULL
UNION ALL
SELECT contest, 'leased or extended after the end', false FROM told
 WHERE call LIKE 'after the end%' AND outcome IN ('acquired', 'extended') GROUP BY 1
UNION ALL
SELECT key, 'payment', true FROM payment JOIN saga USING (key)
 WHERE opened <> 1 OR closed <> 1
    OR taken <> (SELECT count(*) FROM told WHERE contest = key AND call IN ('acquire', 'take over') AND outcome = 'acquired')
    OR closed_as IS DISTINCT FROM state;
