-- Runs whose names try to be more than names. Prints one JSON array: each run's graph, and the steps that Mermaid
-- must find in it, for parse.mjs.

CREATE TEMP TABLE hostile AS
SELECT n, name FROM unnest(ARRAY[
  'plain', 'end', 'default', 'a "quoted" one', '"] --> s9["x', 'a]', '[x]', '{x}', '(x)', '#', '#quot;', '#35;', '&lt;b&gt;', '&#60;', 'a;b',
  E'two\nlines', E'\t\x07\x1b[31m\x7f', 'back\nslash', 'C:\', '%%{init: {"theme": "dark"}}%%', '%% comment', ':::failed', '<b>bold</b>', '<br/>',
  '<script>alert(1)</script>', '<img src=x onerror=alert(1)>', '</span></div>', '`code`', '```', '**bold**', '_it_', '1. list', '- list', '# heading', '> quote',
  '---', '==>', '-.->', 'click s0 "javascript:alert(1)"', 'style s0 fill:#f00;', 'style:#x;', 'classDef x:#f00;', 'subgraph x', 'x direction LR y',
  'fa:fa-ban', '$$x^2$$', 'ﬂ°°60¶ß', 'https://example.com/?a=1&b=2', '😀', '👩‍👩‍👧', 'שלום', U&'\202eright to left', U&'\200b', ' spaces   inside ',
  '__proto__', 'constructor', repeat('long', 63), repeat('"] ', 85)
]) WITH ORDINALITY AS t (name, n);

CREATE TEMP TABLE run (run_id bigint);

-- All of them in one run, and one word of each kind: what it needs, when, if, a checkpoint.
INSERT INTO run
SELECT started.run_id
FROM (
  SELECT jsonb_build_object('on_error', 'continue', 'steps', jsonb_agg(step ORDER BY n)) AS definition
  FROM (
    SELECT n, jsonb_build_object(
      'name', name,
      'needs', (SELECT coalesce(jsonb_agg(needed.name), '[]') FROM hostile needed WHERE needed.n IN (hostile.n / 2, hostile.n / 3)),
      'when', CASE WHEN n % 5 = 0 THEN 'failed' WHEN n % 2 = 0 THEN 'done' ELSE 'completed' END
    ) || CASE WHEN n % 7 = 0 THEN '{"if": "$.input.go == true"}'::jsonb ELSE '{}' END AS step
    FROM hostile
  ) step
) run, workflow_start(definition => run.definition, input => '{"go": true}') started;

-- And each as the name of a workflow, of its step, and of the checkpoint of another, which needs it.
SELECT count(workflow_define(name, jsonb_build_object('on_error', 'continue', 'steps', jsonb_build_array(
  jsonb_build_object('name', name, 'with_items', '$.input.items'),
  jsonb_build_object('name', 'after ' || n, 'needs', jsonb_build_array(name), 'checkpoint', name, 'when', 'done')
)))) > 0 AS defined FROM hostile \gset
INSERT INTO run
SELECT started.run_id FROM hostile, workflow_start(name, '{"items": [1, 2, 3]}') started;

-- Some of the work, so that steps are in all kinds of states.
CREATE TEMP TABLE ended AS
SELECT f.outcome
FROM task_acquire_lease('default', 'worker', max_tasks => 100) l,
  task_finalize(l.task_id, l.lease_token, CASE WHEN l.task_id % 4 = 0 THEN 'failed' ELSE 'completed' END) f;
INSERT INTO ended
SELECT f.outcome
FROM task_acquire_lease('default', 'worker', max_tasks => 100) l,
  task_finalize(l.task_id, l.lease_token, CASE WHEN l.task_id % 4 = 0 THEN 'cancelled' ELSE 'completed' END) f;

SELECT json_agg(json_build_object('text', workflow_mermaid(run_id), 'nodes', (
  SELECT json_agg(json_build_object('name', step, 'state', state, 'needs', needs)) FROM workflow_steps(run_id)
)))
FROM run;
