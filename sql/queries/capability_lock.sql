-- One change of who may do what at a time: the server's own privileges are changed beside it. Locks the table
-- against other changes (SHARE ROW EXCLUSIVE); readers pass.
LOCK TABLE baton.capability IN SHARE ROW EXCLUSIVE MODE
