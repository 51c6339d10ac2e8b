-- Which of a run's tasks ($1), which have all ended, nobody else holds. Locks their done rows FOR UPDATE, skipping what
-- others hold.
SELECT d.task_id FROM unnest($1) AS u (task_id) JOIN baton.task_done d USING (task_id)
FOR UPDATE OF d SKIP LOCKED
