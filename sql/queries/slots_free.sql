-- Frees the slots of the keys $2 that task $1 holds, locked by this transaction. Locks the slots as UPDATE does; nobody else touches a slot that it holds.
UPDATE baton.slot SET holder = NULL, free_seq = nextval('baton.ready_seq') WHERE holder = $1 AND slot_key = ANY ($2)
