-- Whether a slot of the key is free, and whether anybody waits for one. Takes no lock.
SELECT EXISTS (SELECT FROM baton.slot WHERE slot_key = $1 AND holder IS NULL), EXISTS (SELECT FROM baton.task_live WHERE waits_for IN ($1, -$1))
