-- A definition as text. Takes no lock.
SELECT $1::text
