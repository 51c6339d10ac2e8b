-- The first of these steps that has a task which has not started. Takes no lock.
SELECT min(step_id) FROM baton.task_live WHERE step_id = ANY ($1) AND state < 3
