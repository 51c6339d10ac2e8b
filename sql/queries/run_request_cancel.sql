-- With $4 asks the workers of a run's running tasks to stop, each once; returns how many run. Locks those it asks as UPDATE does; this transaction holds them.
WITH running AS MATERIALIZED (
    SELECT l.task_id, l.cancel_requested_at IS NULL AS new FROM baton.task_live l
    WHERE l.step_id = ANY (ARRAY(SELECT s.step_id FROM baton.step s WHERE s.run_id = $1 AND s.state = 1)) AND l.state = 3
), asked AS (
    UPDATE baton.task_live l SET cancel_requested_at = baton._clock(), cancel_reason = $2, last_seq = l.last_seq + 1
    FROM running r WHERE l.task_id = r.task_id AND r.new AND $4
    RETURNING l.task_id, l.last_seq, l.cancel_requested_at
), tape AS (
    INSERT INTO baton.event (tape_id, seq, at, kind, body)
    SELECT task_id, last_seq, cancel_requested_at, 'cancel_requested', jsonb_build_object('reason', $2, 'role', $3) FROM asked
)
SELECT count(*) FROM running
