-- Steps of a run that have ended, and nobody has looked at what follows, oldest first. Takes no lock.
SELECT s.step_id, s.name, s.state, s.error ->> 'message', s.successor IS NOT NULL FROM baton.step s
WHERE s.run_id = $1 AND s.state >= 10 AND NOT s.noted ORDER BY s.run_id, s.step_id
