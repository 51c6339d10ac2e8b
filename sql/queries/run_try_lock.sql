-- The same for whoever comes from a task: no row if the gate is closed. Locks the run FOR KEY SHARE SKIP LOCKED.
SELECT state FROM baton.run WHERE run_id = $1 FOR KEY SHARE SKIP LOCKED
