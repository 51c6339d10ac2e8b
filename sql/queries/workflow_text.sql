-- A definition as text; NULL if it has a number beyond double precision: 1e131071 are 12 bytes, and 131,072 characters of text. Takes no lock.
SELECT CASE WHEN NOT jsonb_path_exists($1, '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308 || @ > -1e-307 && @ < 1e-307 && @ != 0))') THEN $1::text END
