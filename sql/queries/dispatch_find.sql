-- The successor of this name in the scope. Takes no lock.
SELECT task_id FROM baton.dispatch WHERE scope_id = $1 AND successor = $2
