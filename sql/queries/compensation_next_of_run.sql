-- What is to be undone next in a run: what was registered last, of what tasks that have completed did, and has not been undone; where its payload comes from. The run is locked by this transaction.
SELECT c.compensation_id, c.queue_id, c.task_id, c.payload IS NULL, c.name
FROM baton.compensation c JOIN baton.task_done d USING (task_id)
WHERE c.run_id = $1 AND c.compensation_task_id IS NULL AND c.state IS NULL AND d.state = 10
ORDER BY c.run_id DESC, c.compensation_id DESC LIMIT 1
