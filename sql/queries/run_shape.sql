-- What a resume finds to do in a run: tasks that are blocked, steps that are open, and that have ended unnoticed. Takes no lock.
SELECT (SELECT count(*) FROM baton.task_live l WHERE l.state = 1 AND l.step_id = ANY (ARRAY(SELECT s.step_id FROM baton.step s WHERE s.run_id = $1 AND s.state = 1))),
    (SELECT count(*) FROM baton.step s WHERE s.run_id = $1 AND s.state < 10),
    (SELECT count(*) FROM baton.step s WHERE s.run_id = $1 AND s.state >= 10 AND NOT s.noted)
