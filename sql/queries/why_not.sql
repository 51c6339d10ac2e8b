-- Why a text is no value of a type (jsonpath, interval); NULL: it is one. Takes no lock.
SELECT baton._why_not($1, $2)
