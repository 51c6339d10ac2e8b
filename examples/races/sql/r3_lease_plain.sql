-- R3 in plain SQL: a saga's record with its lease, as a store keeps it that reads the record, decides in the program, and
-- saves it.

CREATE TABLE saga (
    saga_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key              int NOT NULL,
    state            text NOT NULL DEFAULT 'active',
    reason           text,
    owner            text,
    lease_expires_at timestamptz
);
CREATE INDEX ON saga (key);

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
    found_one boolean;
BEGIN
    SELECT EXISTS (SELECT FROM saga WHERE key = n) INTO found_one;
    PERFORM round_trip(ms);
    -- Wrong: by now it may be there.
    IF found_one THEN
        INSERT INTO told VALUES (n, who, 'create', 'exists');
    ELSE
        INSERT INTO saga (key) VALUES (n);
        INSERT INTO payment VALUES (n, 1) ON CONFLICT (key) DO UPDATE SET opened = payment.opened + 1;
        INSERT INTO told VALUES (n, who, 'create', 'created');
    END IF;
END $$;

CREATE FUNCTION acquire(n int, who text, ttl interval, phase text, ms float8, OUT outcome text, OUT token bigint) LANGUAGE plpgsql AS $$
DECLARE
    seen       saga;
    expires_at timestamptz;
BEGIN
    SELECT * INTO seen FROM saga WHERE key = n LIMIT 1;
    PERFORM round_trip(ms);
    outcome := CASE WHEN seen.state <> 'active' THEN 'terminal'
                    WHEN seen.owner IS NULL OR seen.lease_expires_at <= clock_timestamp() THEN 'acquired'
                    ELSE 'held' END;
    token := 0;
    -- Wrong: others have read the same. The last one that writes wins, and the others are not told.
    IF outcome = 'acquired' THEN
        expires_at := clock_timestamp() + ttl;
        UPDATE saga SET state = seen.state, reason = seen.reason, owner = who, lease_expires_at = expires_at WHERE key = n;
        UPDATE payment SET taken = taken + 1 WHERE key = n;
    END IF;
    INSERT INTO told VALUES (n, who, phase, outcome, expires_at - ttl, expires_at);
END $$;

CREATE FUNCTION heartbeat(n int, who text, token bigint, ttl interval, phase text, ms float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    seen       saga;
    expires_at timestamptz;
BEGIN
    SELECT * INTO seen FROM saga WHERE key = n LIMIT 1;
    PERFORM round_trip(ms);
    IF seen.state <> 'active' THEN
        INSERT INTO told VALUES (n, who, phase, 'terminal');
    ELSIF seen.owner IS DISTINCT FROM who OR seen.lease_expires_at <= clock_timestamp() THEN
        INSERT INTO told VALUES (n, who, phase, 'lease_lost');
    ELSE
        -- Wrong: the record is saved as it was read, over whoever has taken it or ended it since; and nobody looks
        -- whether this extends the lease at all.
        expires_at := clock_timestamp() + ttl;
        UPDATE saga SET state = seen.state, reason = seen.reason, owner = who, lease_expires_at = expires_at WHERE key = n;
        INSERT INTO told VALUES (n, who, phase, 'extended', expires_at - ttl, expires_at);
    END IF;
END $$;

CREATE FUNCTION finalize(n int, who text, token bigint, new_state text, why text, ms float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    seen saga;
BEGIN
    SELECT * INTO seen FROM saga WHERE key = n LIMIT 1;
    PERFORM round_trip(ms);
    -- Wrong: it may have ended since.
    IF seen.state <> 'active' THEN
        INSERT INTO told VALUES (n, who, 'finalize', 'terminal');
    ELSIF seen.owner IS DISTINCT FROM who THEN
        INSERT INTO told VALUES (n, who, 'finalize', 'lease_lost');
    ELSE
        UPDATE saga SET state = new_state, reason = why, owner = NULL, lease_expires_at = NULL WHERE key = n;
        UPDATE payment SET closed = closed + 1, closed_as = new_state WHERE key = n;
        INSERT INTO told VALUES (n, who, 'finalize', 'finalized');
    END IF;
END $$;

-- Everything of a saga that a heartbeat which does not count must leave alone.
CREATE FUNCTION look(n int) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(saga::text, ' ' ORDER BY saga_id) FROM saga WHERE key = n
$$;

CREATE VIEW violation (contest, kind, own) AS
WITH overlap AS (
    SELECT one.contest, one.call IN ('take over', 'late heartbeat') AND two.call IN ('take over', 'late heartbeat') AS late
      FROM told AS one JOIN told AS two ON one.contest = two.contest AND one.who < two.who
       AND tstzrange(one.from_at, one.until_at) && tstzrange(two.from_at, two.until_at)
     WHERE one.from_at IS NOT NULL AND two.from_at IS NOT NULL)
SELECT contest, 'created twice', false FROM told WHERE call = 'create' AND outcome = 'created' GROUP BY 1 HAVING count(*) <> 1
UNION ALL
SELECT DISTINCT contest, 'two holders at a time', false FROM overlap WHERE NOT late
UNION ALL
SELECT contest, 'a heartbeat that must not count changed the lease', false FROM told
 WHERE call = 'look' AND outcome = 'changed' GROUP BY 1
UNION ALL
SELECT DISTINCT contest, 'two holders at a time, after an expiry', false FROM overlap WHERE late
UNION ALL
SELECT contest, 'ended twice', false FROM told WHERE call = 'finalize' AND outcome = 'finalized' GROUP BY 1 HAVING count(*) > 1
UNION ALL
SELECT DISTINCT key, 'ended, and active again', false FROM saga
 WHERE state = 'active' AND EXISTS (SELECT FROM told WHERE contest = key AND call = 'finalize' AND outcome = 'finalized')
UNION ALL
SELECT DISTINCT key, 'ended without a reason', false FROM saga WHERE state <> 'active' AND reason IS NULL
UNION ALL
SELECT contest, 'leased or extended after the end', false FROM told
 WHERE call LIKE 'after the end%' AND outcome IN ('acquired', 'extended') GROUP BY 1
UNION ALL
SELECT key, 'payment', true FROM payment
 WHERE opened <> 1 OR closed > 1
    OR taken <> (SELECT count(*) FROM told WHERE contest = key AND call IN ('acquire', 'take over') AND outcome = 'acquired')
    OR coalesce(closed_as, 'active') IS DISTINCT FROM (SELECT min(state) FROM saga WHERE saga.key = payment.key);
