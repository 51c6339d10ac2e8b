-- The runs of these steps: (run, those of its steps, what a failure does; NULL: nothing, it has no definition). Takes no lock.
SELECT r.run_id, array_agg(s.step_id), r.on_error FROM baton.step s JOIN baton.run r USING (run_id)
WHERE s.step_id = ANY ($1)
GROUP BY r.run_id ORDER BY r.run_id
