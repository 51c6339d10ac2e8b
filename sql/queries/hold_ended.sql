-- A task that has ended, kept from being purged: how, in which queue, and whether it stands in a run. Locks its done row FOR KEY SHARE, waiting for who purges it.
SELECT d.state, d.queue_id, d.shard IS NOT NULL
FROM baton.task_done d
WHERE d.task_id = $1 AND ($2 IS NULL OR d.queue_id = ANY ($2))
FOR KEY SHARE
