-- Whether anybody is visibly in line for the key, from the claim floor $2 on. Takes no lock.
SELECT EXISTS (SELECT FROM baton.task_live WHERE waits_for = $1 AND ready_seq > $2)
