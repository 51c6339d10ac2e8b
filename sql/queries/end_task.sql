-- Ends a task that this transaction has locked FOR UPDATE: cancelled, out of attempts, or lost ($7: then
-- its lease was not used, and the tape says who lost it). If its queue tells of such ends, the id of the task
-- that will is drawn here.
WITH ended AS (
    DELETE FROM baton.task_live WHERE task_id = $1
    RETURNING task_id, run_at, lease_token, leased_at, heartbeat_at, started_at, cancel_requested_at, last_seq, leased_seq,
        queue_id, attempt, lost_leases, owner, step_id, max_runtime, shard, on_final_of, compensates, compensable, slot_keys
), tape AS (
    INSERT INTO baton.event (tape_id, seq, at, lease_token, kind, body)
    SELECT task_id, leased_seq, leased_at, lease_token, 'leased', jsonb_build_object('owner', owner, 'attempt', attempt) FROM ended WHERE $7
    UNION ALL
    SELECT task_id, last_seq + 1, baton._clock(), lease_token, 'lease_lost', jsonb_build_object('owner', owner, 'lost_leases', lost_leases + 1) FROM ended WHERE $7
)
INSERT INTO baton.task_done (task_id, run_at, lease_token, leased_at, heartbeat_at, started_at, cancel_requested_at, finalized_at, last_seq, leased_seq, queue_id, attempt, lost_leases, state, ended_by_lease, owner, reason, result, error, step_id, max_runtime, shard, on_final_of, compensates, compensable, slot_keys, on_final_task_id)
SELECT task_id, run_at, lease_token, leased_at, heartbeat_at, started_at, cancel_requested_at, baton._clock(),
    last_seq + CASE WHEN $7 THEN 2 ELSE 1 END, CASE WHEN $7 THEN NULL ELSE leased_seq END,
    queue_id, attempt - $7::int, lost_leases + $7::int, $2, $6, owner, $3, $4, $5, step_id, max_runtime, shard, on_final_of, compensates, compensable, slot_keys,
    (SELECT nextval('baton.id_seq') FROM baton.queue q
     WHERE q.queue_id = ended.queue_id AND $2 = ANY (q.on_final_states) AND ended.on_final_of IS NULL)
FROM ended
RETURNING on_final_task_id
