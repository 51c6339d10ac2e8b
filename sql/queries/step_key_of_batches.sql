-- The key of which a step's tasks need a slot first, if it has items that are no tasks yet: its own, or its run's; and none of its tasks waits. Takes no lock.
SELECT CASE WHEN s.max_parallel IS NOT NULL THEN s.step_id ELSE r.slot_key END
FROM baton.step s JOIN baton.run r USING (run_id)
WHERE s.step_id = $1 AND EXISTS (SELECT FROM baton.step_batch b WHERE b.step_id = s.step_id)
  AND NOT EXISTS (SELECT FROM baton.task_live l WHERE l.step_id = s.step_id AND l.waits_for IS NOT NULL)
