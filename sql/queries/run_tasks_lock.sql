-- Waits for whoever holds a task in flight of a run, in the order of their ids; $2: up to which state (1: what is
-- scheduled or blocked; 2: what does not run; 3: all). Locks the tasks FOR UPDATE, waiting.
SELECT l.task_id FROM baton.task_live l
WHERE l.step_id = ANY (ARRAY(SELECT s.step_id FROM baton.step s WHERE s.run_id = $1 AND s.state = 1)) AND l.state <= $2
ORDER BY l.task_id
FOR UPDATE
