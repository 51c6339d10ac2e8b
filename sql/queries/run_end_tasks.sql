-- Ends tasks in flight of a run's steps ($1) as cancelled, because of $2: those that have not started, with $3 also those that run; not those whose work must be undone first. If their
-- queue tells of such ends, the ids of the tasks that will are drawn here. Locks the tasks FOR UPDATE, skipping what others hold.
WITH picked AS MATERIALIZED (
    SELECT l.task_id FROM baton.task_live l
    WHERE l.step_id = ANY ($1) AND (l.state < 3 OR l.state = 3 AND $3) AND l.registrations IS NULL
    FOR UPDATE SKIP LOCKED
), ended AS (
    DELETE FROM baton.task_live l USING picked p WHERE l.task_id = p.task_id
    RETURNING l.task_id, run_at, lease_token, leased_at, heartbeat_at, started_at, cancel_requested_at, last_seq, leased_seq,
        queue_id, attempt, lost_leases, owner, step_id, max_runtime, shard, on_final_of, compensates, compensable, slot_keys
)
INSERT INTO baton.task_done (task_id, run_at, lease_token, leased_at, heartbeat_at, started_at, cancel_requested_at, finalized_at, last_seq, leased_seq, queue_id, attempt, lost_leases, state, ended_by_lease, owner, reason, step_id, max_runtime, shard, on_final_of, compensates, compensable, slot_keys, on_final_task_id)
SELECT task_id, run_at, lease_token, leased_at, heartbeat_at, started_at, cancel_requested_at, baton._clock(), last_seq + 1, leased_seq,
    queue_id, attempt, lost_leases, 12, false, owner, $2, step_id, max_runtime, shard, on_final_of, compensates, compensable, slot_keys,
    (SELECT nextval('baton.id_seq') FROM baton.queue q
     WHERE q.queue_id = ended.queue_id AND 12 = ANY (q.on_final_states) AND ended.on_final_of IS NULL)
FROM ended
RETURNING task_id, on_final_task_id, queue_id, step_id, shard, compensates, compensable, slot_keys
