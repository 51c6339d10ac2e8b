-- The holder of lease $2 registers what undoes the work of task $1: in queue $3, under the name $4, with the payload $5. The task is locked FOR UPDATE by this transaction. Returns its number.
WITH owner AS (
    UPDATE baton.task_live SET registrations = coalesce(registrations, 0) + 1, last_seq = last_seq + 1
    WHERE task_id = $1
    RETURNING task_id, registrations, last_seq, baton._clock() AS now
), ledger AS (
    INSERT INTO baton.compensation (compensation_id, task_id, run_id, lease_token, registered_at, compensation_no, queue_id, name, payload)
    SELECT nextval('baton.id_seq'), o.task_id, t.run_id, $2, o.now, o.registrations, $3, $4, $5 FROM owner o JOIN baton.task t USING (task_id)
), tape AS (
    INSERT INTO baton.event (tape_id, seq, at, lease_token, kind, body)
    SELECT o.task_id, o.last_seq, o.now, $2, 'baton.compensation_registered', jsonb_build_object('compensation_no', o.registrations, 'name', $4, 'queue', q.name, 'payload', $5)
    FROM owner o, baton.queue q WHERE q.queue_id = $3
)
SELECT registrations FROM owner
