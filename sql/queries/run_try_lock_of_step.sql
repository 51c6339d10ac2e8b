-- The run of a step, its gate held open; no row if it is closed. Locks the run FOR KEY SHARE SKIP LOCKED.
SELECT r.run_id, r.state FROM baton.run r WHERE r.run_id = (SELECT s.run_id FROM baton.step s WHERE s.step_id = $1) FOR KEY SHARE SKIP LOCKED
