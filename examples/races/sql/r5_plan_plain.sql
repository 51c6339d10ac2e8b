-- R5 in plain SQL: a plan of three steps in one document, which is loaded, changed and saved whole.

CREATE TABLE plan (plan_id int PRIMARY KEY, doc jsonb NOT NULL);

-- The adopter's own table, written with each report: how many steps have ended.
CREATE TABLE billing (plan_id int PRIMARY KEY, ended int NOT NULL DEFAULT 0);

CREATE PROCEDURE prepare(n int) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO plan VALUES (n, '{"state": "running", "checkpoint": null, "a": "running", "b": "running", "c": "running"}');
    INSERT INTO billing VALUES (n);
END $$;

-- A step reports its end, under the row's lock: this is right.
CREATE PROCEDURE report(n int, step text, new_state text, ms float8) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM round_trip(ms);
    UPDATE plan SET doc = jsonb_set(doc, ARRAY[step], to_jsonb(new_state)) WHERE plan_id = n;
    UPDATE billing SET ended = ended + 1 WHERE plan_id = n;
END $$;

-- One of them has failed: the plan is to pause at its checkpoint.
CREATE PROCEDURE pause_on_error(n int, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    stale jsonb;
BEGIN
    SELECT doc INTO stale FROM plan WHERE plan_id = n;
    PERFORM round_trip(ms);
    -- Wrong: the other steps have reported since. Their ends are overwritten, and nobody will report them again.
    UPDATE plan SET doc = stale || '{"state": "paused", "checkpoint": "on_error"}' WHERE plan_id = n;
    INSERT INTO told VALUES (n, 'handler', 'pause', 'paused');
END $$;

CREATE VIEW violation (contest, kind, own) AS
SELECT plan_id, '1 failed, 2 running for ever', false FROM plan WHERE doc ->> 'b' = 'running' AND doc ->> 'c' = 'running'
UNION ALL
SELECT plan_id, '1 failed, 1 running for ever', false FROM plan WHERE (doc ->> 'b' = 'running') <> (doc ->> 'c' = 'running')
UNION ALL
SELECT plan_id, 'billed otherwise than the plan says', true FROM billing JOIN plan USING (plan_id)
 WHERE ended <> (SELECT count(*) FROM jsonb_each_text(doc) WHERE key IN ('a', 'b', 'c') AND value <> 'running');
