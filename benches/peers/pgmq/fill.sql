-- As batch.pgb sends them.
SELECT count(*) from pgmq.send_batch(queue_name=>'bench'::text, msgs=>array_fill('{"k": 1}'::jsonb, ARRAY[:items]), headers=>NULL::jsonb[], delay=>0::integer);
