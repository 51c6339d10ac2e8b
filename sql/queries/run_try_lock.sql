-- The same for whoever comes from a task: no row if the gate is taken. Locks the run FOR SHARE SKIP LOCKED.
SELECT state FROM baton.run WHERE run_id = $1 FOR SHARE SKIP LOCKED
