-- How the items of a step have ended so far. Takes no lock.
SELECT coalesce(sum(remaining), 0)::int, coalesce(sum(completed), 0)::int, coalesce(sum(failed), 0)::int, coalesce(sum(cancelled), 0)::int
FROM baton.step_count WHERE step_id = $1
