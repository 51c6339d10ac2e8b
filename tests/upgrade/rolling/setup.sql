-- Workers who note down what they were told, and what must not be found in their notes.
SELECT queue_create('rolling', lease_ttl => '30 s');
SELECT slot_set('narrow', 2);
DROP ROLE IF EXISTS rolling_worker;
CREATE ROLE rolling_worker LOGIN;
SELECT baton_grant('rolling_worker', 'produce', 'rolling'), baton_grant('rolling_worker', 'work', 'rolling');

CREATE TABLE made (run_id bigint NOT NULL, keyed_id bigint NOT NULL);
CREATE TABLE told (at timestamptz NOT NULL, task_id bigint NOT NULL, lease_token bigint NOT NULL, beat text NOT NULL, outcome text NOT NULL);
CREATE TABLE happened (what text NOT NULL, at timestamptz NOT NULL, highest_token bigint);
GRANT INSERT ON made, told TO rolling_worker;

-- Does what is left.
CREATE PROCEDURE work_off() LANGUAGE plpgsql AS $$
DECLARE leased record;
BEGIN
    LOOP
        SELECT clock_timestamp() AS at, * INTO leased FROM task_acquire_lease('rolling', 'last');
        EXIT WHEN NOT FOUND;
        INSERT INTO told SELECT leased.at, leased.task_id, leased.lease_token, 'extended', outcome FROM task_finalize(leased.task_id, leased.lease_token, 'completed');
        COMMIT;
    END LOOP;
END
$$;

CREATE VIEW wrong (what) AS
    SELECT format('task %s was told %s and %s', task_id, beat, outcome) FROM told WHERE (beat, outcome) <> ('extended', 'finalized')
    UNION ALL
    SELECT format('task %s was finalized %s times', task_id, count(*)) FROM told GROUP BY task_id HAVING count(*) > 1
    UNION ALL
    SELECT format('token %s was handed out %s times', lease_token, count(*)) FROM told GROUP BY lease_token HAVING count(*) > 1
    UNION ALL
    SELECT format('run %s has not come to its end: %s of 3 tasks, %s completed', made.run_id, count(t.task_id), count(*) FILTER (WHERE d.state = 10))
    FROM made LEFT JOIN baton.step s ON s.run_id = made.run_id LEFT JOIN baton.task t USING (step_id) LEFT JOIN baton.task_done d USING (task_id)
    GROUP BY made.run_id HAVING count(t.task_id) <> 3 OR count(*) FILTER (WHERE d.state = 10) <> 3
    UNION ALL
    SELECT format('task %s is %s', keyed_id, state) FROM made LEFT JOIN task_get(keyed_id) ON true WHERE state IS DISTINCT FROM 'completed'
    UNION ALL
    SELECT format('%s tasks were made, and %s were finalized', 4 * (SELECT count(*) FROM made), count(*)) FROM told
    HAVING count(*) <> 4 * (SELECT count(*) FROM made)
    UNION ALL
    SELECT format('token %s is not greater than %s, which was handed out before the schema was upgraded', t.lease_token, h.highest_token)
    FROM told t, happened h WHERE t.at > h.at AND t.lease_token <= h.highest_token
    UNION ALL
    SELECT format('nothing was done after: %s', h.what) FROM happened h WHERE NOT EXISTS (
        SELECT FROM told t WHERE t.at > h.at AND t.at < ALL (SELECT at FROM happened later WHERE later.at > h.at))
    UNION ALL
    SELECT format('%s of %s %s: %s', c.invariant, c.object, c.object_id, c.detail) FROM baton_check(true) c;
