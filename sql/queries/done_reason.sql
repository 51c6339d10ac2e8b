-- Why a task ended. Takes no lock.
SELECT reason FROM baton.task_done WHERE task_id = $1
