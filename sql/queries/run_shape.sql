-- What a resume finds to do in a run: how many tasks are blocked, how many steps have not ended, and of how many the end is not noted. Takes no lock.
SELECT (SELECT count(*) FROM baton.task_live l WHERE l.state = 1 AND l.step_id = ANY (ARRAY(SELECT s.step_id FROM baton.step s WHERE s.run_id = $1 AND s.state = 1))),
    (SELECT count(*) FROM baton.step s WHERE s.run_id = $1 AND s.state < 10),
    (SELECT count(*) FROM baton.step s WHERE s.run_id = $1 AND s.state >= 10 AND NOT s.noted)
