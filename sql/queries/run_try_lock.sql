-- A run, its gate held open by who comes from a task; no row if it is closed. Locks the run FOR KEY SHARE SKIP LOCKED.
SELECT state FROM baton.run WHERE run_id = $1 FOR KEY SHARE SKIP LOCKED
