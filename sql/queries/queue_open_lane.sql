-- Notes that a priority is in use (bit $2), once per queue and priority. Takes the row lock of the
-- queue (NO KEY UPDATE), the last lock of the verb.
UPDATE baton.queue SET lanes = lanes | $2 WHERE queue_id = $1 AND lanes & $2 = 0
