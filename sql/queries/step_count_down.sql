-- Items of one shard have ended: $3 completed, $4 failed, $5 cancelled; of those failed $6 quarantined; $7 compensated, $9 of them after they had failed; of those cancelled $8
-- that never were tasks. Returns whether the shard has none left. Takes the row lock of the counter (NO KEY UPDATE), waiting for siblings of the same shard.
UPDATE baton.step_count SET
    remaining = remaining - $3 - $4 - $5, completed = completed + $3, failed = failed + $4, cancelled = cancelled + $5,
    quarantined = quarantined + $6, compensated = compensated + $7, compensated_failed = compensated_failed + $9, forgotten = forgotten + $8
WHERE step_id = $1 AND shard = $2
RETURNING remaining = 0
