-- What both tellings of every race have.

-- The way from the database to the application and back: between what was read and what is written because of
-- it, a victim's program had at least this. Both tellings spend it, the same for the same contest.
CREATE FUNCTION round_trip(ms float8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(ms / 1000);
END $$;

-- Who was told what, written in the same transaction: a violation is counted from this and from the tables, never
-- from what the program believes.
CREATE TABLE told (
    contest int  NOT NULL,
    who     text NOT NULL,
    call    text NOT NULL,
    outcome text NOT NULL,
    -- Of a lease that was granted or extended (R3): from when until when.
    from_at  timestamptz,
    until_at timestamptz
);
CREATE INDEX ON told (contest);
