-- Frees the slots of key $1 that these tasks hold: nobody is in line, or all who are in line are locked by
-- others (then they are due). The key is locked FOR NO KEY UPDATE by this transaction.
UPDATE baton.slot SET holder = NULL WHERE slot_key = $1 AND holder = ANY ($2)
