-- A text as the interval that it is. Takes no lock.
SELECT $1::interval
