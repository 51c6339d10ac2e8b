-- What was left there is done. The rows are locked by this transaction.
DELETE FROM baton.due WHERE due_id = ANY ($1)
