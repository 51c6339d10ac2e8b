-- The built-in successors of a run's groups: (group, successor). Takes no lock.
SELECT name, successor FROM baton.step WHERE run_id = $1 AND successor IS NOT NULL
