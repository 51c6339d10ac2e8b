-- The first visible place in line of a lane, from the claim floor $3 on, and the last place drawn. Takes no lock.
SELECT (SELECT ready_seq FROM baton.task_live
        WHERE queue_id = $1 AND state = 2 AND priority = $2 AND ready_seq > $3
        ORDER BY queue_id, priority, ready_seq LIMIT 1),
    (SELECT last_value FROM baton.ready_seq)
