-- A new id of a task, a run or a step. Takes no lock.
SELECT nextval('baton.id_seq')
