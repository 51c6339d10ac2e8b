-- The task's own step ($2) and the steps of its run that a successor needs, in the order of their ids: how
-- many there are, and how many of them have items left. Locks the steps FOR SHARE: whoever is ending the
-- last item of a shard is waited for.
WITH held AS MATERIALIZED (
    SELECT step_id, state, name FROM baton.step
    WHERE run_id = $1 AND (step_id = $2 OR name = ANY ($3))
    ORDER BY step_id
    FOR SHARE
)
SELECT count(*) FILTER (WHERE name = ANY ($3)), count(*) FILTER (WHERE state < 10) FROM held
