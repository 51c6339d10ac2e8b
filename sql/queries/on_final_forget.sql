-- Nobody is to be told of the ends of these tasks any more: the queue was altered, and the other one dropped,
-- while they ended. Takes no lock: the rows are this transaction's own.
UPDATE baton.task_done d SET on_final_task_id = NULL
FROM unnest($1) AS u (task_id)
WHERE d.task_id = u.task_id AND NOT EXISTS (SELECT FROM baton.task_live l WHERE l.task_id = d.on_final_task_id)
