-- R2 on the extension, first answer: the executor stays as it is, and asks task_dispatch_successor instead of counting.

SELECT queue_create('pack-' || lane) FROM generate_series(0, 31) AS lane;
SELECT queue_create('ship');

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
    PERFORM task_create_items('pack-' || lane, 'pack', array_fill(jsonb_build_object('order', n), ARRAY[5]), max_parallel => 3);
END $$;

-- What max_parallel does not allow yet is not in line.
CREATE FUNCTION take(n int, lane int, worker text, ms float8) RETURNS TABLE (id bigint, token bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM round_trip(ms);
    RETURN QUERY SELECT task_id, lease_token FROM task_acquire_lease('pack-' || lane, worker);
END $$;

CREATE PROCEDURE finish(n int, id bigint, token bigint, ms float8) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM task_finalize(id, token, 'completed') WHERE outcome = 'finalized';
    IF FOUND THEN
        PERFORM round_trip(ms);
        UPDATE orders SET packed = packed + 1 WHERE order_id = n;
    END IF;
END $$;

-- A copy of the executor handles a completion message.
CREATE PROCEDURE handle(n int, id bigint, ms float8) LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM round_trip(ms);
    SELECT outcome INTO answer FROM task_dispatch_successor(id, 'ship', 'ship', jsonb_build_object('order', n));
    IF answer = 'dispatched' THEN
        UPDATE orders SET completed = completed + 1 WHERE order_id = n;
    END IF;
    INSERT INTO told VALUES (n, 'executor', 'handle', answer);
END $$;

-- The successors do their work: a parcel each.
CREATE PROCEDURE ship() LANGUAGE plpgsql AS $$
DECLARE
    this record;
BEGIN
    LOOP
        SELECT task_id, lease_token, (payload ->> 'order')::int AS order_id INTO this FROM task_acquire_lease('ship', 'shipper');
        EXIT WHEN NOT FOUND;
        UPDATE orders SET parcels = parcels + 1 WHERE order_id = this.order_id;
        PERFORM task_finalize(this.task_id, this.lease_token, 'completed');
        COMMIT;
    END LOOP;
END $$;

CREATE VIEW violation (contest, kind, own) AS
WITH dispatched AS (
    SELECT order_id, count(task_id) AS times
      FROM orders LEFT JOIN baton.task ON name = 'ship' AND payload = jsonb_build_object('order', order_id)
     GROUP BY order_id)
SELECT order_id, 'successor dispatched twice or more', false FROM dispatched WHERE times > 1
UNION ALL
SELECT order_id, 'successor never dispatched', false FROM dispatched WHERE times = 0
UNION ALL
SELECT DISTINCT contest, 'more than 3 in flight', false FROM told WHERE call = 'in flight' AND outcome > '3'
UNION ALL
SELECT order_id, 'parcels of the order', true FROM orders WHERE (packed, completed, parcels) <> (5, 1, 1);
