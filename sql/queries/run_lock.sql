-- A run, its gate held open: who cancels or pauses it waits. Locks the run FOR SHARE, waiting.
SELECT state FROM baton.run WHERE run_id = $1 FOR SHARE
