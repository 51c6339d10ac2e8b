-- How the holder of token $2 ended task $1 first, if he did, and whether with this result and this error. Takes no lock.
SELECT state, reason, result IS NOT DISTINCT FROM $3 AND error IS NOT DISTINCT FROM $4 FROM baton.saga WHERE task_id = $1 AND lease_token = $2 AND ended_by_lease
