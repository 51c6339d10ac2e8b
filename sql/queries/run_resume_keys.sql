-- The slot keys for which the blocked tasks of a run will get in line, highest first, each with a queue of theirs. Takes no lock.
SELECT DISTINCT ON (l.slot_key) l.slot_key, l.queue_id FROM baton.task_live l
WHERE l.step_id = ANY (ARRAY(SELECT s.step_id FROM baton.step s WHERE s.run_id = $1 AND s.state = 1))
  AND l.state = 1 AND l.waits_for IS NULL AND l.slot_key IS NOT NULL
ORDER BY l.slot_key DESC, l.queue_id
