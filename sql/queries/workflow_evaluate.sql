-- Whether a step (at the place $4 of the definition $3) is to run, and with which payloads; $5: where the paths of its template are. Takes no lock.
SELECT e.verdict, e.problem, e.payloads
FROM baton.workflow w
CROSS JOIN LATERAL baton._evaluate($1, $2, w.definition #>> ARRAY['steps', $4, 'if'], w.definition #>> ARRAY['steps', $4, 'with_items'],
    w.definition #> ARRAY['steps', $4, 'payload'], $5, $6, $7, $8) e
WHERE w.workflow_id = $3
