-- The next tasks of a queue, in the order of their ids from $3 on, that ended in one of the states $2, stand alone and were
-- not redriven. (Not state = …: then the planner may walk the primary key, over all that is finished.) Takes no lock.
WITH ended AS MATERIALIZED (
    SELECT e.task_id
    FROM unnest($2) AS s (state)
    CROSS JOIN LATERAL (
        SELECT d.task_id FROM baton.task_done d
        WHERE d.queue_id = $1 AND (d.state, d.task_id) > (s.state, $3) AND d.state <= s.state AND d.shard IS NULL
          AND NOT EXISTS (SELECT FROM baton.redrive r WHERE r.task_id = d.task_id)
        ORDER BY d.queue_id, d.state, d.task_id LIMIT $4
    ) e
)
SELECT task_id FROM ended ORDER BY task_id LIMIT $4
