-- Removes what belonged to these tasks, which are gone: nobody adds to it any more. (Few installations have any of
-- these: a table that is empty is not looked into for every task.) Locks the rows as DELETE does.
WITH old AS MATERIALIZED (
    SELECT unnest($1) AS task_id
), annotation AS (
    DELETE FROM baton.annotation a USING old o WHERE EXISTS (SELECT FROM baton.annotation) AND a.task_id = o.task_id
), redrive AS (
    DELETE FROM baton.redrive r USING old o WHERE EXISTS (SELECT FROM baton.redrive) AND r.task_id = o.task_id
), compensation AS (
    DELETE FROM baton.compensation c USING old o WHERE EXISTS (SELECT FROM baton.compensation) AND c.task_id = o.task_id
), saga AS (
    DELETE FROM baton.saga g USING old o WHERE EXISTS (SELECT FROM baton.saga) AND g.task_id = o.task_id
)
DELETE FROM baton.dispatch d USING old o WHERE EXISTS (SELECT FROM baton.dispatch) AND d.scope_id = o.task_id
