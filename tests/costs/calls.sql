-- The calls whose costs are counted, each in a block of its own: its name and how many rows it must answer (who is refused pays less), what
-- it needs to find, and, in the last line, the call. The call of nothing tells how many statements the counting itself takes.
\set ready 'SELECT count(*) AS made FROM task_create_many(''bench'', array_fill(''{}''::jsonb, ARRAY[:many]))'
\set lease 'task_acquire_lease(''bench'', ''worker'', ''1 h'', :many)'
\set acquire 'SELECT array_agg(task_id) AS ids, array_agg(lease_token) AS tokens, min(task_id) AS id, min(lease_token) AS token FROM :lease'
\set drain 'SELECT count(*) AS taken FROM generate_series(1, 10) g, task_acquire_lease(''bench'', ''worker'', ''1 h'', 1000 + 0 * g)'

-- nothing: 1
SELECT;

-- task_create: 1
SELECT FROM task_create('bench', '{"k": 1}') WHERE outcome = 'created';

-- task_create with key: 1
SELECT FROM task_create('bench', '{"k": 1}', key => 'key ' || :call) WHERE outcome = 'created';

-- task_create_many of 100: 100
SELECT FROM task_create_many('bench', array_fill('{"k": 1}'::jsonb, '{100}')) WHERE outcome = 'created';

-- task_acquire_lease: 1
\set many 1
:ready \gset
SELECT FROM task_acquire_lease('bench', 'worker', '1 h');

-- task_acquire_lease of 100: 100
\set many 100
:ready \gset
SELECT FROM task_acquire_lease('bench', 'worker', '1 h', 100);

-- task_acquire_lease of none: 0
:drain \gset
SELECT FROM task_acquire_lease('bench', 'worker', '1 h');

-- task_start: 1
\set many 1
:ready \gset
:acquire \gset
SELECT FROM task_start(:id, :token) WHERE outcome = 'started';

-- task_heartbeat: 1
\set many 1
:ready \gset
:acquire \gset
SELECT FROM task_heartbeat(:id, :token, '2 h') WHERE outcome = 'extended';

-- task_heartbeat_many of 100: 100
\set many 100
:ready \gset
:acquire \gset
SELECT FROM task_heartbeat_many(:'ids', :'tokens', '2 h') WHERE outcome = 'extended';

-- task_append_event: 1
\set many 1
:ready \gset
:acquire \gset
SELECT FROM task_append_event(:id, 'progress', '{"percent": 50}', :token) WHERE outcome = 'appended';

-- task_append_events of 100: 1
\set many 1
:ready \gset
:acquire \gset
SELECT FROM task_append_events(:id, array_fill('progress'::text, '{100}'), array_fill('{"percent": 50}'::jsonb, '{100}'), :token) WHERE outcome = 'appended';

-- task_require_lease: 1
\set many 1
:ready \gset
:acquire \gset
SELECT FROM task_require_lease(:id, :token);

-- task_get: 1
\set many 1
:ready \gset
:acquire \gset
SELECT FROM task_get(:id) WHERE state = 'running';

-- task_release: 1
\set many 1
:ready \gset
:acquire \gset
SELECT FROM task_release(:id, :token) WHERE outcome = 'released';

-- task_fail_attempt: 1
\set many 1
:ready \gset
:acquire \gset
SELECT FROM task_fail_attempt(:id, :token, '{"why": "broken"}', '1 h') WHERE outcome = 'retry_scheduled';

-- task_finalize: 1
\set many 1
:ready \gset
:acquire \gset
SELECT FROM task_finalize(:id, :token, 'completed', '{"ok": true}') WHERE outcome = 'finalized';

-- task_finalize_many of 100: 100
\set many 100
:ready \gset
:acquire \gset
SELECT FROM task_finalize_many(:'ids', :'tokens', array_fill('completed'::text, '{100}')) WHERE outcome = 'finalized';
