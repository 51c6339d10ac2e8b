-- Up to $2 runs, oldest first from the id $5 on, that ended before $1 ago with every task of theirs (a run without a definition counts as ended when
-- all its tasks have), if all of them are in the queues $3 and ended in the states $4 (NULL: all). Locks the runs FOR UPDATE, skipping
-- what others hold; each is looked at again under its lock.
SELECT r.run_id FROM baton.run r
WHERE r.run_id > $5 AND r.created_at < (SELECT baton._clock() - $1)
  AND (r.state >= 10 AND r.finalized_at < (SELECT baton._clock() - $1) OR r.state = 0 AND r.workflow_id IS NULL)
  AND EXISTS (SELECT FROM baton.step s WHERE s.run_id = r.run_id AND (s.total > 0 OR $4 IS NULL OR r.state = ANY ($4)))
  AND NOT EXISTS (SELECT FROM baton.step s WHERE s.run_id = r.run_id AND s.state < 10)
  AND NOT EXISTS (SELECT FROM baton.step s JOIN baton.task t USING (step_id) JOIN baton.task_done d USING (task_id)
                  WHERE s.run_id = r.run_id AND (d.finalized_at >= (SELECT baton._clock() - $1) OR $4 IS NOT NULL AND d.state <> ALL ($4)))
  AND NOT EXISTS (SELECT FROM baton.step s WHERE s.run_id = r.run_id AND $3 IS NOT NULL AND s.queue_id <> ALL ($3))
ORDER BY r.run_id LIMIT $2
FOR UPDATE SKIP LOCKED
