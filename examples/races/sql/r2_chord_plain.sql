-- R2 in plain SQL, without messages: who ends an item looks for siblings in the same transaction.
--
-- It is what one arrives at after the duplicates: no message, no second handling, one transaction.

CREATE TABLE item (
    order_id int NOT NULL,
    item     int NOT NULL,
    state    text NOT NULL DEFAULT 'waiting',
    PRIMARY KEY (order_id, item)
);
CREATE TABLE successor (order_id int NOT NULL);
CREATE INDEX ON successor (order_id);

-- The adopter's own table: items packed, how often packing was called complete, parcels sent.
CREATE TABLE orders (
    order_id  int PRIMARY KEY,
    packed    int NOT NULL DEFAULT 0,
    completed int NOT NULL DEFAULT 0,
    parcels   int NOT NULL DEFAULT 0
);

CREATE PROCEDURE prepare(n int, lane int) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO orders VALUES (n);
    INSERT INTO item SELECT n, i FROM generate_series(0, 4) AS i;
END $$;

CREATE FUNCTION take(n int, lane int, worker text, ms float8) RETURNS TABLE (id bigint, token bigint) LANGUAGE plpgsql AS $$
DECLARE
    in_flight int;
BEGIN
    SELECT count(*) INTO in_flight FROM item WHERE order_id = n AND state = 'running';
    PERFORM round_trip(ms);
    -- Wrong: by now others may have taken some.
    IF in_flight < 3 THEN
        RETURN QUERY
        UPDATE item SET state = 'running'
         WHERE order_id = n AND item = (SELECT i.item FROM item AS i WHERE i.order_id = n AND i.state = 'waiting'
                                         ORDER BY i.item LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING item::bigint, 0::bigint;
    END IF;
END $$;

CREATE PROCEDURE finish(n int, id bigint, token bigint, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    siblings_remaining int;
BEGIN
    UPDATE item SET state = 'completed' WHERE order_id = n AND item = id;
    -- Wrong: ends that are not committed are not seen. Two last items that overlap each find the other one open.
    SELECT count(*) INTO siblings_remaining FROM item WHERE order_id = n AND state <> 'completed';
    PERFORM round_trip(ms);
    IF siblings_remaining = 0 THEN
        INSERT INTO successor VALUES (n);
    END IF;
    UPDATE orders SET packed = packed + 1, completed = completed + (siblings_remaining = 0)::int WHERE order_id = n;
    INSERT INTO told VALUES (n, 'worker', 'finish', CASE siblings_remaining WHEN 0 THEN 'dispatched' ELSE 'finalized' END);
END $$;

-- The successors do their work: a parcel each.
CREATE PROCEDURE ship() LANGUAGE plpgsql AS $$
BEGIN
    UPDATE orders SET parcels = (SELECT count(*) FROM successor AS s WHERE s.order_id = orders.order_id);
END $$;

CREATE VIEW violation (contest, kind, own) AS
WITH dispatched AS (
    SELECT order_id, (SELECT count(*) FROM successor AS s WHERE s.order_id = orders.order_id) AS times FROM orders)
SELECT order_id, 'successor dispatched twice or more', false FROM dispatched WHERE times > 1
UNION ALL
SELECT order_id, 'successor never dispatched', false FROM dispatched WHERE times = 0
UNION ALL
SELECT DISTINCT contest, 'more than 3 in flight', false FROM told WHERE call = 'in flight' AND outcome > '3'
UNION ALL
SELECT order_id, 'parcels of the order', true FROM orders WHERE (packed, completed, parcels) <> (5, 1, 1);
