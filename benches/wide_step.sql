-- The same as items of one step of a run: bounded to :max_parallel at a time, or (0) not at all.
SET pg_baton.max_payload_bytes = '64MB';
SELECT outcome FROM workflow_start(input => jsonb_build_object('items', (SELECT jsonb_agg(g % 10) FROM generate_series(1, :items) g)),
    definition => jsonb_build_object('steps', jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
        'name', 'wide', 'queue', 'bench', 'with_items', '$.input.items', 'payload', jsonb_build_object('k', '$.item'), 'max_parallel', nullif(:max_parallel, 0))))));
