-- workflows: which steps run, are skipped, or end by themselves (when, if), and how the run ends.

SELECT queue_create('q', lease_ttl => '1 min');
-- Runs steps, on_error continue, ending the tasks of each as `how` says ({"a": "failed"}; else completed); how the steps and the run ended.
CREATE FUNCTION ends(definition jsonb, how jsonb = '{}', input jsonb = '{}', OUT steps text, OUT run text) LANGUAGE plpgsql AS $$
DECLARE run_id bigint; task record; f record;
BEGIN
    SELECT s.run_id INTO run_id FROM workflow_start(input => ends.input, definition => jsonb_build_object('on_error', 'continue', 'steps', (SELECT jsonb_agg(s || '{"queue": "q"}' ORDER BY i) FROM jsonb_array_elements(ends.definition) WITH ORDINALITY AS e (s, i)))) s;
    LOOP
        SELECT * INTO task FROM task_acquire_lease('q', 'w');
        EXIT WHEN NOT FOUND;
        SELECT * INTO f FROM task_finalize(task.task_id, task.lease_token, coalesce(how ->> task.name, 'completed'), '1');
    END LOOP;
    SELECT string_agg(s.step || ' ' || s.state, ', ') INTO steps FROM workflow_steps(run_id) s;
    SELECT g.state INTO run FROM workflow_get(run_id) g;
END $$;

-- when: completed, failed, done, after each end of one need.
SELECT ended, e.* FROM unnest(ARRAY['completed', 'failed', 'cancelled', 'quarantined']) WITH ORDINALITY AS o (ended, ordinal), ends('[{"name": "a"},
    {"name": "completed", "needs": ["a"]}, {"name": "failed", "needs": ["a"], "when": "failed"}, {"name": "done", "needs": ["a"], "when": "done"}]', jsonb_build_object('a', ended)) e ORDER BY ordinal;
-- After a skipped one, only done runs; and of what was skipped, the same.
SELECT e.* FROM ends('[{"name": "a"}, {"name": "skipped", "needs": ["a"], "when": "failed"},
    {"name": "completed", "needs": ["skipped"]}, {"name": "failed", "needs": ["skipped"], "when": "failed"}, {"name": "done", "needs": ["skipped"], "when": "done"},
    {"name": "deep", "needs": ["completed"]}, {"name": "deep done", "needs": ["deep"], "when": "done"}, {"name": "after done", "needs": ["done", "deep done"]}]') e;
-- Two needs: every pair of ends.
SELECT a, b, e.* FROM unnest(ARRAY['completed', 'failed', 'cancelled']) WITH ORDINALITY AS x (a, i), unnest(ARRAY['completed', 'failed', 'cancelled']) WITH ORDINALITY AS y (b, j),
    ends('[{"name": "a"}, {"name": "b"}, {"name": "c", "needs": ["a", "b"]}, {"name": "f", "needs": ["a", "b"], "when": "failed"}, {"name": "d", "needs": ["a", "b"], "when": "done"}]', jsonb_build_object('a', a, 'b', b)) e ORDER BY i, j;
-- One skipped, one completed or failed: skipped, but for done.
SELECT b, e.* FROM unnest(ARRAY['completed', 'failed']) b, ends('[{"name": "x"}, {"name": "a", "needs": ["x"], "when": "failed"}, {"name": "b"}, {"name": "c", "needs": ["a", "b"]}, {"name": "f", "needs": ["a", "b"], "when": "failed"}, {"name": "d", "needs": ["a", "b"], "when": "done"}]',
    jsonb_build_object('b', b)) e;
-- A diamond with two skipped parents.
SELECT e.* FROM ends('[{"name": "top"}, {"name": "left", "needs": ["top"]}, {"name": "right", "needs": ["top"]}, {"name": "bottom", "needs": ["left", "right"]}, {"name": "done", "needs": ["left", "right"], "when": "done"}, {"name": "below", "needs": ["done"]}]', '{"top": "failed"}') e;
SELECT e.* FROM ends('[{"name": "top"}, {"name": "left", "needs": ["top"]}, {"name": "right", "needs": ["top"]}, {"name": "bottom", "needs": ["left", "right"]}]') e;
SELECT e.* FROM ends('[{"name": "top"}, {"name": "left", "needs": ["top"]}, {"name": "right", "needs": ["top"]}, {"name": "bottom", "needs": ["left", "right", "top"]}, {"name": "rescue", "needs": ["left", "right"], "when": "failed"}]', '{"right": "failed"}') e;
-- A handler that runs does not make the run completed; one that fails is a failure, too.
SELECT e.* FROM ends('[{"name": "a"}, {"name": "handler", "needs": ["a"], "when": "failed"}, {"name": "after", "needs": ["handler"]}]', '{"a": "failed"}') e;
SELECT e.* FROM ends('[{"name": "a"}, {"name": "handler", "needs": ["a"], "when": "done"}, {"name": "handler of the handler", "needs": ["handler"], "when": "failed"}]', '{"handler": "failed"}') e;
-- How the run ends: a failed step outweighs a cancelled one, skipped ones count for nothing.
SELECT e.* FROM ends('[{"name": "a"}, {"name": "b"}]', '{"a": "cancelled", "b": "failed"}') e;
SELECT e.* FROM ends('[{"name": "a"}, {"name": "b"}]', '{"a": "cancelled"}') e;
SELECT e.* FROM ends('[{"name": "a"}, {"name": "b", "if": "false"}]') e;
SELECT e.* FROM ends('[{"name": "a", "if": "1 == 2"}]') e;

-- With items: one that failed outweighs one that was cancelled, which outweighs the others.
CREATE FUNCTION items(ends text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE run bigint; task record;
BEGIN
    SELECT s.run_id INTO run FROM workflow_start(input => to_jsonb(ends), definition => '{"on_error": "continue", "steps": [{"name": "s", "queue": "q", "with_items": "$.input"}]}') s;
    FOR task IN SELECT * FROM task_acquire_lease('q', 'w', max_tasks => 10) LOOP
        PERFORM task_finalize(task.task_id, task.lease_token, task.payload ->> 0);
    END LOOP;
    RETURN (SELECT s.state || ', run ' || g.state || ', ' || g.counts FROM workflow_steps(run) s, workflow_get(run) g);
END $$;
SELECT items('{completed,completed}'), items('{completed,failed,cancelled}');
SELECT items('{completed,quarantined}'), items('{completed,cancelled}');

-- if: true runs, false and null skip, anything else fails the step.
SELECT condition, e.* FROM unnest(ARRAY['$.input.yes', '$.input.no', '$.input.null', '$.input.n == 5', '$.input.n > 5', '$.input.n > "a"', '$.input.n', '$.input.text', '$.input.nothing', '$.input.list[*]', '$.input.list', '$.input.object', '$.input.text starts with "y"',
    'exists($.input.n)', 'exists($.input.nothing)', '!exists($.input.nothing)', '($.input.n / 0) == 1', 'strict $.input.nothing == 1', 'strict $.input.nothing', '$.input.n == 1 || $.input.n == 5', '$.input.n == 5 && $.input.text like_regex "^t"', 'true', 'null', '"true"', '$.input.one'])
    WITH ORDINALITY AS c (condition, ordinal), ends(jsonb_build_array(jsonb_build_object('name', 's', 'if', condition)), '{}', '{"yes": true, "no": false, "null": null, "n": 5, "text": "true", "list": [true, true], "object": {}, "one": [true]}') e ORDER BY ordinal;
-- Asked when the needs have ended as they should, over what they left; not before.
SELECT e.* FROM ends('[{"name": "a"}, {"name": "yes", "needs": ["a"], "if": "$.steps.a.result == 1"}, {"name": "no", "needs": ["a"], "if": "$.steps.a.result == 2"}, {"name": "state", "needs": ["a"], "when": "done", "if": "$.steps.a.state == \"completed\""}, {"name": "never asked", "needs": ["no"], "if": "1 / 0 == 1"}]') e;
SELECT e.* FROM ends('[{"name": "a"}, {"name": "state", "needs": ["a"], "when": "done", "if": "$.steps.a.state == \"completed\""}, {"name": "else", "needs": ["a"], "when": "done", "if": "$.steps.a.state != \"completed\""}, {"name": "join", "needs": ["state", "else"], "when": "done"}, {"name": "of skipped", "needs": ["state"], "when": "done", "if": "$.steps.state.state == \"skipped\""}]', '{"a": "failed"}') e;
-- A step that fails by itself is a failed need.
SELECT e.* FROM ends('[{"name": "a", "if": "$.input.n"}, {"name": "completed", "needs": ["a"]}, {"name": "failed", "needs": ["a"], "when": "failed"}, {"name": "done", "needs": ["a"], "when": "done"}, {"name": "alone"}]', '{}', '{"n": 5}') e;
-- if with items: a step that is skipped has none, and no result.
SELECT e.* FROM ends('[{"name": "a", "if": "false", "with_items": "$.input"}, {"name": "b", "needs": ["a"], "when": "done", "with_items": "$.steps.a.result"}, {"name": "c", "needs": ["a"], "when": "done", "if": "$.steps.a.state == \"skipped\""}]', '{}', '[1, 2]') e;

-- What waits for other steps starts with the last of them, whatever comes first.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "z", "queue": "q", "needs": ["a", "b", "c"]}, {"name": "a", "queue": "q"}, {"name": "b", "queue": "q"}, {"name": "c", "queue": "q"}]}') \gset
SELECT step, needs FROM workflow_steps(:run);
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT i.name, cardinality(f.dispatched) AS dispatched FROM baton.leases i, task_finalize(i.task_id, i.lease_token, 'completed') f ORDER BY i.name DESC;
SELECT step, state FROM workflow_steps(:run);
-- All at once.
SELECT run_id AS run FROM workflow_start(definition => '{"steps": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "q"}, {"name": "z", "queue": "q", "needs": ["a", "b"]}]}') \gset
SELECT count(*) FROM task_acquire_lease('q', 'w', max_tasks => 10);
SELECT ordinal, outcome FROM (SELECT array_agg(task_id ORDER BY task_id) AS ids, array_agg(lease_token ORDER BY task_id) AS tokens FROM baton.leases WHERE name IN ('a', 'b')) l, task_finalize_many(l.ids, l.tokens, ARRAY['completed', 'completed']);
SELECT step, state FROM workflow_steps(:run);

SELECT * FROM baton_check(true);
