-- The payload of a compensation that the step at the place $4 of the definition $3 asks for, of its task $6, or why it has none; $5: where the paths of its template are. Takes no lock.
SELECT e.problem, e.payload
FROM baton.workflow w
CROSS JOIN LATERAL baton._compensation($1, $2, w.definition #> ARRAY['steps', $4, 'compensate', 'payload'], $5, $6, $7) e
WHERE w.workflow_id = $3
