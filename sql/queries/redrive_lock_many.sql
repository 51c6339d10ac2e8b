-- Which of these tasks have ended and are not being purged; kept from it. Locks their done rows FOR KEY SHARE, skipping
-- what others hold.
SELECT d.task_id FROM unnest($1) AS u (task_id) JOIN baton.task_done d USING (task_id)
FOR KEY SHARE OF d SKIP LOCKED
