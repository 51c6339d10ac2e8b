-- The slot keys in whose lines blocked tasks of a run stand, or will, each with a queue of theirs; those of steps first. Takes no lock.
SELECT DISTINCT ON (k.slot_key) k.slot_key, l.queue_id
FROM baton.task_live l CROSS JOIN LATERAL (VALUES (l.slot_keys[1]), (abs(l.waits_for))) AS k (slot_key)
WHERE l.step_id = ANY (ARRAY(SELECT s.step_id FROM baton.step s WHERE s.run_id = $1 AND s.state = 1))
  AND l.state = 1 AND k.slot_key IS NOT NULL
ORDER BY k.slot_key DESC, l.queue_id
