-- A text as the interval that it is. Takes no lock.
SELECT baton._interval($1)
