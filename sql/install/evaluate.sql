-- What a definition's paths come to, evaluated by PostgreSQL itself. A path may be wrong for the data that it meets: that is a
-- value (`problem`), because the call that ends the step before it must not fail for it. So this is where errors are caught,
-- in a subtransaction that writes nothing.

SET LOCAL search_path = pg_catalog, pg_temp; -- see schema.sql

-- Why a text is no jsonpath, or no interval; NULL: it is one.
CREATE FUNCTION baton._why_not(type_name text, value text) RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres'
AS $$
BEGIN
    IF type_name = 'jsonpath' THEN
        PERFORM value::jsonpath;
    ELSE
        PERFORM value::interval;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception OR syntax_error OR program_limit_exceeded OR feature_not_supported THEN
    RETURN SQLERRM;
END
$$;

-- A text as the interval that it is, whatever the caller's style.
CREATE FUNCTION baton._interval(value text) RETURNS interval LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres'
    AS 'SELECT $1::pg_catalog.interval';

-- What the paths of a run's definition see: its input, and where these steps are and what they have come to.
CREATE FUNCTION baton._document(run_id bigint, reads text[]) RETURNS jsonb LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('input', r.input, 'steps', coalesce((
        SELECT jsonb_object_agg(s.name, jsonb_build_object(
            'state', CASE s.state WHEN 10 THEN 'completed' WHEN 11 THEN 'failed' WHEN 12 THEN 'cancelled' WHEN 15 THEN 'skipped' END,
            'result', CASE WHEN s.with_items THEN coalesce(d.results, '[]') ELSE d.results -> 0 END,
            'error', coalesce(s.error, CASE WHEN NOT s.with_items THEN d.errors -> 0 END)))
        FROM baton.step s
        CROSS JOIN LATERAL (
            SELECT jsonb_agg(d.result ORDER BY t.item_index) AS results, jsonb_agg(d.error ORDER BY t.item_index) FILTER (WHERE NOT s.with_items) AS errors
            FROM baton.task t JOIN baton.task_done d USING (task_id) WHERE t.step_id = s.step_id) d
        WHERE s.run_id = r.run_id AND s.name = ANY ($2)), '{}'))
    FROM baton.run r WHERE r.run_id = $1
$$;

-- Whether a step whose needs have ended is to run, and with which payloads: one, or one an item.
--   reads        the steps whose data its paths may read
--   places       of the template's paths: an array of {path, expression, item: whether it reads the item, all: … and more than that}
--   verdict      run, skip or failed (then `problem` says why)
-- Times compare in UTC, whatever the caller's zone.
CREATE FUNCTION baton._evaluate(
    run_id bigint, reads text[], condition text, with_items text, template jsonb, places jsonb, max_items int, max_bytes int, max_join_bytes bigint,
    OUT verdict text, OUT problem text, OUT payloads jsonb[]
) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    document jsonb;
    found jsonb;
    place jsonb;
    item jsonb;
    payload jsonb;
    written bigint := pg_column_size(template);
    key text := 'steps';
BEGIN
    document := baton._document(_evaluate.run_id, reads);

    verdict := 'run';
    IF condition IS NOT NULL THEN
        key := 'if';
        SELECT coalesce(jsonb_agg(v), '[]') INTO found FROM (SELECT jsonb_path_query_tz(document, condition::jsonpath) AS v LIMIT 2) f;
        IF found IN ('[false]', '[null]') THEN
            verdict := 'skip';
            RETURN;
        ELSIF found <> '[true]' THEN
            verdict := 'failed';
            problem := '"if" is neither true nor false';
            RETURN;
        END IF;
    END IF;

    IF with_items IS NOT NULL THEN
        key := 'with_items';
        -- Row by row: a path that yields too much is left early, and may be cancelled.
        SELECT coalesce(jsonb_agg(v), '[]') INTO found FROM (SELECT jsonb_path_query_tz(document, with_items::jsonpath) AS v LIMIT max_items + 1) f;
        IF jsonb_array_length(found) = 1 AND jsonb_typeof(found -> 0) = 'array' THEN
            found := found -> 0;
        END IF;
        IF jsonb_array_length(found) > max_items THEN
            verdict := 'failed';
            problem := format('"with_items" yields more than %s items', max_items);
            RETURN;
        END IF;
    END IF;

    -- The bounds of what is made: all payloads together, and what is copied to make them.
    key := 'payload';
    IF with_items IS NOT NULL AND template IS NOT NULL THEN
        IF jsonb_array_length(found)::bigint * jsonb_array_length(places) > 1000000 THEN
            verdict := 'failed';
            problem := format('"payload" has %s paths for each of %s items: too much', jsonb_array_length(places), jsonb_array_length(found));
            RETURN;
        END IF;
        IF places @> '[{"all": true}]' AND jsonb_array_length(found)::bigint * pg_column_size(document) > 8 * max_join_bytes THEN
            verdict := 'failed';
            problem := format('"payload" reads more than its item, %s bytes for each of %s items: too much', pg_column_size(document), jsonb_array_length(found));
            RETURN;
        END IF;
    END IF;

    -- What is the same for all items is filled in once.
    key := 'payload';
    FOR place IN SELECT value FROM jsonb_array_elements(places) WITH ORDINALITY AS p (value, ordinal) WHERE NOT (value -> 'item')::boolean ORDER BY ordinal LOOP
        template := baton._fill(template, place, document);
        -- What is still to be filled in may make it smaller by no more than it had at first.
        IF pg_column_size(template) > max_bytes + written THEN
            verdict := 'failed';
            problem := format('"payload" has more than %s bytes', max_bytes);
            RETURN;
        END IF;
    END LOOP;
    IF with_items IS NOT NULL AND template IS NOT NULL AND jsonb_array_length(found)::bigint * pg_column_size(template) > max_join_bytes THEN
        verdict := 'failed';
        problem := format('"payload" has %s bytes for each of %s items: too much', pg_column_size(template), jsonb_array_length(found));
        RETURN;
    END IF;
    IF with_items IS NULL THEN
        payloads := ARRAY[coalesce(template, '{}')];
    ELSIF template IS NULL THEN
        payloads := ARRAY(SELECT value FROM jsonb_array_elements(found) WITH ORDINALITY AS i (value, ordinal) ORDER BY ordinal);
    ELSIF NOT places @> '[{"item": true}]' THEN
        payloads := array_fill(template, ARRAY[jsonb_array_length(found)]);
    ELSE
        payloads := ARRAY(
            SELECT baton._fill_item(template, places, document, value, (ordinal - 1)::int)
            FROM jsonb_array_elements(found) WITH ORDINALITY AS i (value, ordinal) ORDER BY ordinal);
    END IF;

    SELECT format('"payload" of item %s has %s bytes, at most %s are allowed', ordinal - 1, pg_column_size(value) - 4, max_bytes)
    INTO problem
    FROM unnest(payloads) WITH ORDINALITY AS p (value, ordinal) WHERE pg_column_size(value) - 4 > max_bytes LIMIT 1;
    IF problem IS NOT NULL THEN
        verdict := 'failed';
        payloads := NULL;
    END IF;
EXCEPTION WHEN OTHERS THEN
    -- Not what the server lacks, nor what tells the transaction to end.
    IF left(SQLSTATE, 2) IN ('40', '53', '57', '58') THEN
        RAISE;
    END IF;
    verdict := 'failed';
    problem := format('"%s": %s', key, SQLERRM);
    payloads := NULL;
END
$$;

-- The payload of a compensation that a step's definition asks for, of one of its tasks; `problem`: why it has none.
CREATE FUNCTION baton._compensation(run_id bigint, reads text[], template jsonb, places jsonb, task_id bigint, max_bytes int, OUT problem text, OUT payload jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    document jsonb;
    place jsonb;
BEGIN
    payload := coalesce(template, '{}');
    IF jsonb_array_length(places) > 0 THEN
        document := baton._document(_compensation.run_id, reads) || (
            SELECT jsonb_build_object('task', jsonb_build_object('task_id', t.task_id, 'item_index', t.item_index, 'payload', t.payload, 'result', d.result))
            FROM baton.task t JOIN baton.task_done d USING (task_id) WHERE t.task_id = _compensation.task_id);
    END IF;
    FOR place IN SELECT value FROM jsonb_array_elements(places) WITH ORDINALITY AS p (value, ordinal) ORDER BY ordinal LOOP
        payload := baton._fill(payload, place, document);
        EXIT WHEN pg_column_size(payload) > 2 * max_bytes + pg_column_size(template);
    END LOOP;
    IF pg_column_size(payload) - 4 > max_bytes THEN
        problem := format('"payload" has more than %s bytes', max_bytes);
        payload := NULL;
    END IF;
EXCEPTION WHEN OTHERS THEN
    -- As in _evaluate.
    IF left(SQLSTATE, 2) IN ('40', '53', '57', '58') THEN
        RAISE;
    END IF;
    problem := format('"payload": %s', SQLERRM);
    payload := NULL;
END
$$;

-- One path of a template, replaced by what it yields: one value, null for none, an array for several.
CREATE FUNCTION baton._fill(template jsonb, place jsonb, document jsonb) RETURNS jsonb LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN place -> 'path' = '[]' THEN v.value
           ELSE jsonb_set(template, ARRAY(SELECT value FROM jsonb_array_elements_text(place -> 'path') WITH ORDINALITY AS p (value, ordinal) ORDER BY ordinal), v.value) END
    FROM (SELECT coalesce(jsonb_agg(v), '[]') AS found FROM (SELECT jsonb_path_query_tz(document, (place ->> 'expression')::jsonpath) AS v) q) f
    CROSS JOIN LATERAL (SELECT CASE jsonb_array_length(f.found) WHEN 0 THEN 'null' WHEN 1 THEN f.found -> 0 ELSE f.found END AS value) v
$$;

-- The same for the paths that read the item.
CREATE FUNCTION baton._fill_item(template jsonb, places jsonb, document jsonb, item jsonb, item_index int) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place jsonb;
    own jsonb := jsonb_build_object('item', item, 'item_index', item_index);
BEGIN
    FOR place IN SELECT value FROM jsonb_array_elements(places) WITH ORDINALITY AS p (value, ordinal) WHERE (value -> 'item')::boolean ORDER BY ordinal LOOP
        template := baton._fill(template, place, CASE WHEN (place -> 'all')::boolean THEN document || own ELSE own END);
    END LOOP;
    RETURN template;
END
$$;

REVOKE ALL ON FUNCTION baton._why_not, baton._interval, baton._document, baton._evaluate, baton._compensation, baton._fill, baton._fill_item FROM PUBLIC;

SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('baton.install_path'), true);
