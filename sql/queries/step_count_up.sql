-- An item that ended in state $3 ($4: compensated, and it had failed) is open again, as another task. Returns whether the shard had none left. Takes the row lock of the counter (NO KEY UPDATE),
-- waiting for siblings of the same shard.
UPDATE baton.step_count SET remaining = remaining + 1, failed = failed - ($3 IN (11, 14) OR $4)::int, cancelled = cancelled - ($3 = 12 OR $3 = 13 AND NOT $4)::int,
    quarantined = quarantined - ($3 = 14)::int, compensated = compensated - ($3 = 13)::int, compensated_failed = compensated_failed - $4::int
WHERE step_id = $1 AND shard = $2
RETURNING remaining = 1
