-- The holder of the current token ends its task: the live row goes, the done row comes, and it is the
-- final event. Not one that failed or was cancelled with compensations registered: its work is undone first. If its queue tells of such ends, the id of the task that will is drawn here. Locks the task as
-- DELETE does (FOR UPDATE).
WITH ended AS (
    DELETE FROM baton.task_live
    WHERE task_id = $1 AND lease_token = $2 AND ($7 IS NULL OR queue_id = ANY ($7)) AND ($3 IN (10, 14) OR registrations IS NULL)
    RETURNING task_id, run_at, lease_token, leased_at, heartbeat_at, started_at, cancel_requested_at, last_seq, leased_seq,
        queue_id, attempt, lost_leases, owner, step_id, max_runtime, shard, on_final_of, compensates, compensable, slot_keys
)
INSERT INTO baton.task_done (task_id, run_at, lease_token, leased_at, heartbeat_at, started_at, cancel_requested_at, finalized_at, last_seq, leased_seq, queue_id, attempt, lost_leases, state, ended_by_lease, owner, reason, result, error, step_id, max_runtime, shard, on_final_of, compensates, compensable, slot_keys, on_final_task_id)
SELECT task_id, run_at, lease_token, leased_at, heartbeat_at, started_at, cancel_requested_at, baton._clock(), last_seq + 1, leased_seq,
    queue_id, attempt, lost_leases, $3, true, owner, $6, $4, $5, step_id, max_runtime, shard, on_final_of, compensates, compensable, slot_keys,
    (SELECT nextval('baton.id_seq') FROM baton.queue q
     WHERE q.queue_id = ended.queue_id AND $3 = ANY (q.on_final_states) AND ended.on_final_of IS NULL)
FROM ended
RETURNING finalized_at, on_final_task_id, queue_id, step_id, shard, compensates, compensable, slot_keys
