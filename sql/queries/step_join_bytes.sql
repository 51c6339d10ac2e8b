-- How many bytes the results of a step's items have together. Takes no lock.
SELECT coalesce(sum(pg_column_size(jsonb_build_array(d.result))), 0)::bigint
FROM baton.task t JOIN baton.task_done d USING (task_id) WHERE t.step_id = $1
