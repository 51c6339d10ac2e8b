-- The successor that a step names, once all its items have ended. Takes no lock.
SELECT run_id, successor, successor_queue_id, successor_payload
FROM baton.step WHERE step_id = $1 AND state >= 10 AND successor IS NOT NULL
