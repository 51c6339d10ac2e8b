-- Drops a queue: its row stays for its finished tasks. Takes the row lock of the queue (NO KEY UPDATE).
UPDATE baton.queue SET dropped_at = baton._clock(), on_final_queue_id = NULL, on_final_states = NULL WHERE queue_id = $1
