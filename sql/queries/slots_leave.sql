-- Frees all slots that these tasks hold, locked by this transaction: their run is paused, and resuming it looks for who
-- is in line. Locks the slots as UPDATE does; nobody else touches a slot that these tasks hold.
UPDATE baton.slot SET holder = NULL WHERE holder = ANY ($1)
