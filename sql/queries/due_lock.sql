-- Which of these rows nobody else takes up, or keeps. Locks them FOR UPDATE, skipping what others hold.
SELECT due_id FROM baton.due WHERE due_id = ANY ($1) FOR UPDATE SKIP LOCKED
