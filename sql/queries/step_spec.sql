-- Where a step stands, for more tasks of it. Takes no lock.
SELECT name, queue_id, shards, max_parallel IS NOT NULL, survives_failure FROM baton.step WHERE step_id = $1
