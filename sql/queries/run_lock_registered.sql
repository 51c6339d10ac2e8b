-- Tasks in flight of a run's steps ($1) whose work must be undone when they are called off: those that do not run, with $2 also those that run. Locks the tasks FOR UPDATE, skipping what others hold.
SELECT l.task_id FROM baton.task_live l
WHERE l.step_id = ANY ($1) AND (l.state < 3 OR l.state = 3 AND $2) AND l.registrations IS NOT NULL
FOR UPDATE SKIP LOCKED
