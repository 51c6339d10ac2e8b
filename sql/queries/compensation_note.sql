-- The tape of a compensating task ($1), locked by this transaction, says how a compensation of it ended: $2 its number, $3 its name, $4 its task, $5 its state.
WITH owner AS (
    UPDATE baton.task_live SET last_seq = last_seq + 1 WHERE task_id = $1 RETURNING task_id, last_seq
)
INSERT INTO baton.event (tape_id, seq, at, kind, body)
SELECT task_id, last_seq, baton._clock(), 'baton.compensation_finalized', jsonb_build_object('compensation_no', $2, 'name', $3, 'task_id', $4, 'state', baton._state_name($5)) FROM owner
