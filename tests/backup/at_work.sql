-- What a copy of a server at work has, beside being whole: all that had ended when it began, as it has ended.
SELECT 'known', count(*) > 100 FROM known;
SELECT 'lost or changed', * FROM (TABLE known EXCEPT TABLE baton.task_done) lost;
