-- How a run ended first ($2), with which result, that is undone before it ends. Locks the run as UPDATE does; this transaction holds it.
UPDATE baton.run SET first_state = $2, result = $3 WHERE run_id = $1
