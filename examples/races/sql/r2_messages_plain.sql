-- R2 in plain SQL: five items, three at a time, and an executor that is driven by completion messages.
--
-- A worker writes the end of its item, then sends the message. Several copies of the executor handle the messages: late,
-- twice, in any order.

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
BEGIN
    UPDATE item SET state = 'completed' WHERE order_id = n AND item = id;
    PERFORM round_trip(ms);
    UPDATE orders SET packed = packed + 1 WHERE order_id = n;
END $$;

-- A copy of the executor handles a completion message.
CREATE PROCEDURE handle(n int, id bigint, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    siblings_remaining int;
    dispatched         boolean;
BEGIN
    SELECT count(*) INTO siblings_remaining FROM item WHERE order_id = n AND state <> 'completed';
    SELECT EXISTS (SELECT FROM successor WHERE order_id = n) INTO dispatched;
    PERFORM round_trip(ms);
    -- Wrong: the ends are in the database before their messages are handled, so that more than one of these finds
    -- nobody left to wait for; and that nobody has dispatched yet was a while ago.
    IF siblings_remaining = 0 AND NOT dispatched THEN
        INSERT INTO successor VALUES (n);
        UPDATE orders SET completed = completed + 1 WHERE order_id = n;
        INSERT INTO told VALUES (n, 'executor', 'handle', 'dispatched');
    ELSE
        INSERT INTO told VALUES (n, 'executor', 'handle', CASE WHEN dispatched THEN 'already_dispatched' ELSE 'waiting' END);
    END IF;
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
