-- A key: the priorities of its tasks (a bit each), whether it drains, whether it has a name. Takes no lock.
SELECT lanes, slots > capacity, name IS NOT NULL FROM baton.slot_key WHERE slot_key = $1
