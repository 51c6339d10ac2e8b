-- Whether the token is current, held until the transaction ends. Locks the live task FOR KEY SHARE.
SELECT true FROM baton.task_live WHERE task_id = $1 AND lease_token = $2 AND ($3 IS NULL OR queue_id = ANY ($3)) FOR KEY SHARE
