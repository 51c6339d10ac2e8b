-- A tape in order. The last lease's `leased` event and the `final` event are read from the task's own
-- row: they are that row. Takes no lock.
SELECT seq, kind, body, at, lease_token
FROM (
    (SELECT seq, kind, body, at, lease_token FROM baton.event
     WHERE tape_id = $1 AND seq > $2 ORDER BY tape_id, seq LIMIT $3)
    UNION ALL
    SELECT leased_seq, 'leased', jsonb_build_object('owner', owner, 'attempt', attempt), leased_at, lease_token
    FROM baton.task_live WHERE task_id = $1 AND leased_seq > $2
    UNION ALL
    SELECT leased_seq, 'leased', jsonb_build_object('owner', owner, 'attempt', attempt), leased_at, lease_token
    FROM baton.task_done WHERE task_id = $1 AND leased_seq > $2
    UNION ALL
    SELECT last_seq, 'final', jsonb_build_object('state', baton._state_name(state), 'reason', reason, 'result', result, 'error', error),
        finalized_at, CASE WHEN ended_by_lease THEN lease_token END
    FROM baton.task_done WHERE task_id = $1 AND last_seq > $2
) tape
WHERE EXISTS (SELECT FROM baton.task t WHERE t.task_id = $1 AND ($4 IS NULL OR t.queue_id = ANY ($4)))
ORDER BY seq LIMIT $3
