-- The state of pg_baton.
--
-- A task is three rows with three life times:
--   baton.task       what was asked: written once (only metadata may change)
--   baton.task_live  where it is: the one hot row, small, gone when the task ends
--   baton.task_done  how it ended: written once
-- A payload is therefore written once and never copied by a transition, the hot table stays as small
-- as the work in flight, and what is finished weighs on nothing. Measured against one row updated in
-- place, and against one row that moves: see docs/architecture.md.
--
-- The `leased` event of the last lease and the `final` event are not rows of the tape: they are these
-- very rows, read as events by task_events. So the tape cannot disagree with the state.

-- As CREATE EXTENSION runs this, whoever may create in the extension's schema could have put an operator there that fits better than
-- the server's own, and it would run as a superuser. So only the server's are in sight, but where pgrx's functions go into that schema.
-- (The server's own placeholder for it would refuse schemas whose names have to be quoted, even in a comment.)
SELECT pg_catalog.set_config('baton.install_path', pg_catalog.current_setting('search_path'), true);
SET LOCAL search_path = pg_catalog, pg_temp;

-- Text is handled in Rust, whose strings are UTF-8.
DO $$
BEGIN
    IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = 'pg_baton needs a database in UTF8, this one is in ' || pg_catalog.getdatabaseencoding(),
            HINT = 'Create the database with ENCODING ''UTF8''.';
    END IF;
END
$$;

-- A plain CREATE SCHEMA: a schema that somebody put there before makes the install fail.
CREATE SCHEMA baton;

-- Tasks, runs and steps share one sequence: an id says what it is wherever it stands (the scope of a
-- dispatch, the owner of a tape).
CREATE SEQUENCE baton.id_seq AS bigint MAXVALUE 9007199254740991;
-- The fence. CACHE 1: tokens grow in the order in which leases are granted.
CREATE SEQUENCE baton.token_seq AS bigint MAXVALUE 9007199254740991 CACHE 1;
-- Places in line. CACHE 1: the claim floors rest on their order.
CREATE SEQUENCE baton.ready_seq AS bigint MAXVALUE 9007199254740991 CACHE 1;
CREATE SEQUENCE baton.queue_id_seq AS int;
-- Its value is the mark of the server that draws the others (src/model/server.rs).
CREATE SEQUENCE baton.server_seq AS bigint;

-- The clock of all SQL: read where it is called, not where the transaction began. Inlined.
CREATE FUNCTION baton._clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.clock_timestamp()';

-- States by number: a terminal state is 10 or more. The names live in the model; these two
-- functions repeat them for SQL, and a test compares. Inlined, they are read in whatever search_path there is: no operator, no CASE.
CREATE FUNCTION baton._state_name(state smallint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$SELECT ('[0:14]={scheduled, blocked, ready, running, compensating, NULL, NULL, NULL, NULL, NULL,
                  completed, failed, cancelled, compensated, quarantined}'::pg_catalog.text[])[state]$$;

-- Where a compensation is: as its task has ended, or stands.
CREATE FUNCTION baton._state_name_of_compensation(ended smallint, live smallint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$SELECT coalesce(baton._state_name(coalesce(ended, live)), 'registered')$$;

CREATE TABLE baton.queue (
    queue_id         int PRIMARY KEY DEFAULT nextval('baton.queue_id_seq'),
    name             text NOT NULL UNIQUE,
    lease_ttl        interval NOT NULL,
    max_attempts     int NOT NULL,
    max_lost_leases  int NOT NULL,
    backoff_base     interval NOT NULL,
    backoff_max      interval NOT NULL,
    max_runtime      interval,
    on_lost          text NOT NULL,
    -- Where the ends of its tasks are heard, and which ones.
    on_final_queue_id int,
    on_final_states  smallint[],
    -- The priorities ever used, bit (priority + 9): an acquire looks into these lanes only.
    lanes            int NOT NULL DEFAULT 512,
    created_at       timestamptz NOT NULL,
    paused_at        timestamptz,
    -- A dropped queue keeps its row: its finished tasks stay readable, and their keys taken. Created again, it
    -- is the same row.
    dropped_at       timestamptz,
    CONSTRAINT on_lost_is_known CHECK (on_lost IN ('requeue', 'requeue_unstarted', 'fail')),
    CONSTRAINT on_final_is_whole CHECK ((on_final_queue_id IS NULL) = (on_final_states IS NULL))
);

CREATE TABLE baton.task (
    task_id       bigint PRIMARY KEY,
    run_id        bigint,
    step_id       bigint,
    redrive_of    bigint,
    created_at    timestamptz NOT NULL,
    queue_id      int NOT NULL,
    max_attempts  int NOT NULL,
    item_index    int,
    priority      smallint NOT NULL,
    -- The keys of which it needs a slot each: its step's, if that has max_parallel, its run's, and those with a name.
    slot_keys     bigint[],
    name          text,
    key           text,
    payload       jsonb NOT NULL,
    metadata      jsonb NOT NULL
);
-- A key is taken until its task is purged.
CREATE UNIQUE INDEX task_key ON baton.task (queue_id, key) WHERE key IS NOT NULL;
-- Its place in a step; one that was redriven there has given it to the new task.
CREATE UNIQUE INDEX task_item ON baton.task (step_id, item_index) WHERE step_id IS NOT NULL;

CREATE TABLE baton.task_live (
    task_id              bigint PRIMARY KEY,
    step_id              bigint,
    -- The key whose line it stands in, blocked; a blocked task that waits for none is in a paused run. Less than 0: it came over
    -- from the line of another key and has kept its place, which may be before where scans of the line begin.
    waits_for            bigint,
    -- The task or run whose work it undoes.
    compensates          bigint,
    -- The task whose end it tells of.
    on_final_of          bigint,
    -- Its place in line, drawn anew whenever it gets in line (ready, or blocked for a slot).
    ready_seq            bigint NOT NULL,
    ready_at             timestamptz,
    run_at               timestamptz,
    lease_token          bigint,
    leased_at            timestamptz,
    lease_expires_at     timestamptz,
    -- When somebody must look at the lease: its expiry when it was granted. Heartbeats do not touch
    -- it, so that they stay heap-only; who looks moves it on.
    check_at             timestamptz,
    heartbeat_at         timestamptz,
    started_at           timestamptz,
    cancel_requested_at  timestamptz,
    -- Its step's; NULL: the queue's.
    max_runtime          interval,
    last_seq             bigint NOT NULL,
    -- The place on the tape of this lease's `leased` event.
    leased_seq           bigint,
    queue_id             int NOT NULL,
    attempt              int NOT NULL,
    lost_leases          int NOT NULL,
    state                smallint NOT NULL,
    priority             smallint NOT NULL,
    -- Which of its step's counters it is counted in; NULL: it stands alone, in no run.
    shard                smallint,
    -- How many compensations are registered for what it has done.
    registrations        int,
    -- Its step's definition says how to undo it, once it is completed.
    compensable          boolean,
    -- As asked: of each of these keys it holds a slot while it is ready, running or compensating.
    slot_keys            bigint[],
    owner                text,
    cancel_reason        text,
    -- Short on purpose: the server parses a CHECK anew for every statement that writes the table. Eight
    -- comparisons cost five times a bare UPDATE.
    CONSTRAINT running_iff_leased CHECK (num_nonnulls(owner, lease_token, lease_expires_at) = 3 * (state = 3)::int AND state < 10)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX task_live_ready ON baton.task_live (queue_id, priority, ready_seq) WHERE state = 2;
CREATE INDEX task_live_overdue ON baton.task_live (queue_id, check_at) WHERE state = 3;
CREATE INDEX task_live_scheduled ON baton.task_live (queue_id, run_at) WHERE state = 0;
CREATE INDEX task_live_waiting ON baton.task_live (waits_for, priority, ready_seq) WHERE waits_for IS NOT NULL;
-- What is in flight in a run: who pauses, resumes or cancels it looks here, and not at what has ended.
CREATE INDEX task_live_step ON baton.task_live (step_id) WHERE step_id IS NOT NULL;

CREATE TABLE baton.task_done (
    task_id              bigint PRIMARY KEY,
    run_at               timestamptz,
    lease_token          bigint,
    leased_at            timestamptz,
    heartbeat_at         timestamptz,
    started_at           timestamptz,
    cancel_requested_at  timestamptz,
    finalized_at         timestamptz NOT NULL,
    last_seq             bigint NOT NULL,
    leased_seq           bigint,
    -- Where it stood: its group, its slots and its counter, and whose work it undid, went on from here.
    step_id              bigint,
    compensates          bigint,
    max_runtime          interval,
    -- The task whose end it tells of.
    on_final_of          bigint,
    -- The task that tells of this end, in the queue's on_final_queue; NULL: nobody asked, or it was purged.
    on_final_task_id     bigint,
    queue_id             int NOT NULL,
    attempt              int NOT NULL,
    lost_leases          int NOT NULL,
    state                smallint NOT NULL,
    shard                smallint,
    compensable          boolean,
    -- The holder of lease_token ended it: its replay is answered as such.
    ended_by_lease       boolean NOT NULL,
    slot_keys            bigint[],
    owner                text,
    reason               text,
    result               jsonb,
    error                jsonb,
    CONSTRAINT done_is_terminal CHECK (state >= 10)
);
-- For task_list and queue_redrive: a page costs the same however much is finished.
CREATE INDEX task_done_queue ON baton.task_done (queue_id, state, task_id);
-- For baton_purge: what ended first, of what stands alone; a run goes as a whole.
CREATE INDEX task_done_alone ON baton.task_done (finalized_at) WHERE shard IS NULL;

CREATE TABLE baton.event (
    -- A task's id, or a run's.
    tape_id      bigint NOT NULL,
    seq          bigint NOT NULL,
    at           timestamptz NOT NULL,
    lease_token  bigint,
    kind         text NOT NULL,
    dedup_key    text,
    body         jsonb,
    PRIMARY KEY (tape_id, seq)
);
CREATE UNIQUE INDEX event_dedup_key ON baton.event (tape_id, dedup_key) WHERE dedup_key IS NOT NULL;
-- What a lease was answered when it was given back: its replay is answered the same.
CREATE INDEX event_settled ON baton.event (tape_id, lease_token) WHERE kind IN ('retry_scheduled', 'released');

-- What was changed in a task's metadata, when, and by whom.
CREATE TABLE baton.annotation (
    task_id   bigint NOT NULL,
    seq       int NOT NULL,
    at        timestamptz NOT NULL,
    role      text NOT NULL,
    metadata  jsonb NOT NULL,
    PRIMARY KEY (task_id, seq)
);

-- What would undo the work of a task, in the order of registration (compensation_id). It is the ledger: a row is never
-- taken back, and how its task ended is written once.
CREATE TABLE baton.compensation (
    compensation_id       bigint PRIMARY KEY,
    task_id               bigint NOT NULL,
    run_id                bigint,
    -- Who registered it; NULL: its step's definition says it.
    lease_token           bigint,
    compensation_task_id  bigint,
    registered_at         timestamptz NOT NULL,
    finalized_at          timestamptz,
    compensation_no       int NOT NULL,
    queue_id              int NOT NULL,
    state                 smallint,
    name                  text NOT NULL,
    -- NULL: what the step's definition comes to when it is run.
    payload               jsonb,
    error                 jsonb,
    UNIQUE (task_id, compensation_no),
    CONSTRAINT compensation_final_iff_ended CHECK ((state IS NULL) = (finalized_at IS NULL))
);
CREATE UNIQUE INDEX compensation_task ON baton.compensation (compensation_task_id) WHERE compensation_task_id IS NOT NULL;
CREATE INDEX compensation_run ON baton.compensation (run_id, compensation_id) WHERE run_id IS NOT NULL;
-- Of a run: what is to be undone, what is being undone, what was, and what gave up. Each is one look, however long the ledger is.
CREATE INDEX compensation_pending ON baton.compensation (run_id, compensation_id) WHERE run_id IS NOT NULL AND compensation_task_id IS NULL AND state IS NULL;
CREATE INDEX compensation_under_way ON baton.compensation (run_id) WHERE run_id IS NOT NULL AND compensation_task_id IS NOT NULL AND state IS NULL;
CREATE INDEX compensation_ended ON baton.compensation (run_id, compensation_id) WHERE run_id IS NOT NULL AND state IS NOT NULL;
CREATE INDEX compensation_gave_up ON baton.compensation (run_id) WHERE run_id IS NOT NULL AND state > 10;
-- What would still be run in a queue.
CREATE INDEX compensation_queue ON baton.compensation (queue_id) WHERE compensation_task_id IS NULL AND state IS NULL;

-- How a task ended first, whose work is undone before it ends.
CREATE TABLE baton.saga (
    task_id         bigint PRIMARY KEY,
    lease_token     bigint,
    at              timestamptz NOT NULL,
    state           smallint NOT NULL,
    -- The holder of lease_token ended it: its replay is answered as such.
    ended_by_lease  boolean NOT NULL,
    reason          text,
    result          jsonb,
    error           jsonb
);

-- At most one redrive of a task.
CREATE TABLE baton.redrive (
    task_id      bigint PRIMARY KEY,
    new_task_id  bigint NOT NULL
);

-- What a run executes: a version of a name, or (without a name) of one run only. Written once.
CREATE TABLE baton.workflow (
    workflow_id  bigint PRIMARY KEY,
    created_at   timestamptz NOT NULL,
    version      int,
    name         text,
    definition   jsonb NOT NULL,
    UNIQUE (name, version),
    CONSTRAINT versioned_iff_named CHECK ((version IS NULL) = (name IS NULL))
);

-- A run is one execution. Its row is also its gate: who changes the run as a whole locks it FOR UPDATE first,
-- before any of its tasks; who comes from a task tries it (FOR KEY SHARE), and never waits for it.
CREATE TABLE baton.run (
    run_id             bigint PRIMARY KEY,
    -- NULL: a run without a definition, made by task_create_items.
    workflow_id        bigint,
    last_seq           bigint NOT NULL DEFAULT 0,
    created_at         timestamptz NOT NULL,
    finalized_at       timestamptz,
    -- The slot key that bounds all its tasks: its own id, or none.
    slot_key           bigint,
    state              smallint NOT NULL,
    -- How it ended first, if what its tasks did is undone before it ends.
    first_state        smallint,
    -- What the failure of a task does (NULL: nothing, there is no definition). Once a run was paused by one and resumed, it continues.
    on_error           smallint,
    version            int,
    name               text,
    key                text,
    checkpoint         text,
    checkpoint_detail  jsonb,
    -- Failures that came while it was paused at another checkpoint.
    failed             jsonb,
    cancel_reason      text,
    input              jsonb NOT NULL DEFAULT '{}',
    result             jsonb,
    metadata           jsonb NOT NULL,
    CONSTRAINT final_iff_terminal CHECK ((state >= 10) = (finalized_at IS NOT NULL)),
    CONSTRAINT paused_iff_checkpoint CHECK ((state = 1) = (checkpoint IS NOT NULL))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX run_key ON baton.run (coalesce(name, ''), key) WHERE key IS NOT NULL AND workflow_id IS NOT NULL;
CREATE INDEX run_open ON baton.run (run_id) WHERE state < 10;

-- A step of a run: a group of items, or a single task (a group of one). The steps of a definition are made with
-- the run, each after those it needs, and wait; their ids are in that order.
CREATE TABLE baton.step (
    step_id             bigint PRIMARY KEY,
    run_id              bigint NOT NULL,
    created_at          timestamptz NOT NULL,
    started_at          timestamptz,
    finalized_at        timestamptz,
    queue_id            int NOT NULL,
    total               int NOT NULL,
    max_parallel        int,
    -- The join: shards (rows of step_count) with items that are not terminal.
    open_shards         int NOT NULL,
    shards              smallint NOT NULL,
    state               smallint NOT NULL,
    -- Its end is on the run's tape, and what follows from it is done.
    noted               boolean NOT NULL DEFAULT false,
    -- The run was paused at its checkpoint.
    checkpoint_passed   boolean NOT NULL DEFAULT false,
    -- It runs when something has failed: on_error does not call it off.
    survives_failure    boolean NOT NULL DEFAULT false,
    -- A definition says it; else somebody made it while the run was under way.
    defined             boolean NOT NULL DEFAULT false,
    -- Its results are a list.
    with_items          boolean NOT NULL,
    successor_queue_id  int,
    -- Where the work of its tasks is undone.
    compensate_queue_id int,
    name                text NOT NULL,
    key                 text,
    successor           text,
    needs               text[] NOT NULL DEFAULT '{}',
    successor_payload   jsonb,
    -- Why it ended failed by itself.
    error               jsonb,
    UNIQUE (run_id, name),
    CONSTRAINT open_shards_in_range CHECK (open_shards BETWEEN 0 AND shards),
    CONSTRAINT successor_has_queue CHECK ((successor IS NULL) = (successor_queue_id IS NULL)),
    CONSTRAINT step_final_iff_ended CHECK ((state >= 10) = (finalized_at IS NOT NULL))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX step_key ON baton.step (queue_id, key) WHERE key IS NOT NULL;
-- A successor follows one group: two that named the same one would have to wait for each other.
CREATE UNIQUE INDEX step_successor ON baton.step (run_id, successor) WHERE successor IS NOT NULL;
-- The steps that a run still has before it.
CREATE INDEX step_open ON baton.step (run_id) WHERE state < 10;
-- Steps that have ended, and nobody has looked at what follows.
CREATE INDEX step_unnoted ON baton.step (run_id) WHERE state >= 10 AND NOT noted;

-- Items of a wide step that are no tasks yet: a batch becomes tasks when those before it are used up. queue_id: by an
-- acquire of that queue; NULL: the step or its run is bounded, and who frees a slot makes the next ones.
CREATE TABLE baton.step_batch (
    step_id      bigint NOT NULL,
    first_index  int NOT NULL,
    queue_id     int,
    payloads     jsonb[] NOT NULL,
    PRIMARY KEY (step_id, first_index)
);
CREATE INDEX step_batch_queue ON baton.step_batch (queue_id, step_id, first_index) WHERE queue_id IS NOT NULL;

-- A join is a counter under lock in the transaction that ends an item (counting siblings instead
-- lost 1,990 joins of 2,000), split so that siblings do not queue behind one row. Whoever brings one
-- of these to 0 takes it off step.open_shards.
CREATE TABLE baton.step_count (
    step_id    bigint NOT NULL,
    shard      smallint NOT NULL,
    remaining  int NOT NULL,
    completed  int NOT NULL DEFAULT 0,
    failed     int NOT NULL DEFAULT 0,
    cancelled  int NOT NULL DEFAULT 0,
    -- Of those failed.
    quarantined int NOT NULL DEFAULT 0,
    -- Undone, after they had failed or were cancelled; of these, those that had failed.
    compensated int NOT NULL DEFAULT 0,
    compensated_failed int NOT NULL DEFAULT 0,
    -- Of those cancelled: items that never were tasks.
    forgotten  int NOT NULL DEFAULT 0,
    PRIMARY KEY (step_id, shard),
    CONSTRAINT remaining_not_negative CHECK (remaining >= 0)
) WITH (fillfactor = 50);

-- At most one successor of a name per scope: a run, or a task without one.
CREATE TABLE baton.dispatch (
    scope_id   bigint NOT NULL,
    task_id    bigint NOT NULL,
    successor  text NOT NULL,
    PRIMARY KEY (scope_id, successor)
);

-- What bounds how many tasks are at work at once: a step's id, a run's, or (with a name) an operator's key.
CREATE TABLE baton.slot_key (
    slot_key   bigint PRIMARY KEY,
    capacity   int NOT NULL,
    -- The priorities ever used with it, bit (priority + 9): who hands on a slot looks into these lines only.
    lanes      int NOT NULL,
    -- Rows of baton.slot: more than the capacity while a key that was lowered drains.
    slots      int NOT NULL,
    -- The queues whose tasks use it: what is left for later is left there.
    queue_ids  int[] NOT NULL,
    name       text UNIQUE,
    CONSTRAINT capacity_not_negative CHECK (capacity >= 0)
);
-- A slot is a row, held by a task or free; there is no counter beside it. Rows are added and taken away with the key's row locked
-- only. (It has no number: a unique index over one would keep every dead version of its row while somebody holds a snapshot.)
CREATE TABLE baton.slot (
    slot_key  bigint NOT NULL,
    holder    bigint,
    -- Its place in the line of free ones.
    free_seq  bigint,
    CONSTRAINT free_iff_not_held CHECK (num_nonnulls(holder, free_seq) = 1)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX slot_holder ON baton.slot (holder, slot_key) WHERE holder IS NOT NULL;
CREATE INDEX slot_free ON baton.slot (slot_key, free_seq) WHERE holder IS NULL;
-- Without one, a publication of all tables would make every update fail. It costs nothing unless there is one.
ALTER TABLE baton.slot REPLICA IDENTITY FULL;

-- What a transaction could not do without waiting for another one: an acquire or reap of the queue
-- does it.
CREATE TABLE baton.due (
    due_id    bigint PRIMARY KEY,
    step_id   bigint,
    slot_key  bigint,
    -- A task that is compensating: what follows from the end of a compensation.
    owner_id  bigint,
    -- A task of the step that has failed: its run has not heard of it.
    failed_task_id bigint,
    -- Who left the key had freed a slot of it; else he had got in line.
    freed     boolean,
    queue_id  int NOT NULL,
    CONSTRAINT one_thing CHECK (num_nonnulls(step_id, slot_key, owner_id) = 1),
    CONSTRAINT freed_iff_slot CHECK ((slot_key IS NULL) = (freed IS NULL))
);
CREATE INDEX due_queue ON baton.due (queue_id, due_id);
CREATE INDEX due_slot ON baton.due (queue_id, slot_key) WHERE slot_key IS NOT NULL;
CREATE SEQUENCE baton.due_id_seq AS bigint;

-- Who may do what: by the name of the role, so that it survives a dump. queue_id NULL: in all queues.
CREATE TABLE baton.capability (
    role_name   text NOT NULL,
    capability  text NOT NULL,
    queue_id    int,
    -- With it the role was granted USAGE of the functions' schema, which it did not have.
    uses_schema boolean NOT NULL,
    UNIQUE NULLS NOT DISTINCT (role_name, capability, queue_id),
    CONSTRAINT capability_is_known CHECK (capability IN ('produce', 'work', 'observe', 'control', 'operate'))
);
ALTER TABLE baton.capability REPLICA IDENTITY FULL;
-- Every backend keeps what its roles may do: it is told of a change, whoever makes it.
CREATE FUNCTION baton._capabilities_changed() RETURNS trigger LANGUAGE c
    AS 'MODULE_PATHNAME', 'capabilities_changed_wrapper';
CREATE TRIGGER capabilities_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON baton.capability
    FOR EACH STATEMENT EXECUTE FUNCTION baton._capabilities_changed();

-- The queues that the caller may look at, for the views; NULL: all of them.
CREATE FUNCTION baton._queues_seen() RETURNS int[] LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'queues_seen_wrapper';

-- The rules hold below the functions too: a terminal row, a live lease, a counter cannot be changed by
-- accident, not even by the owner, because nobody but the functions writes here. A statement trigger
-- costs a verb less than can be measured. (INSERT is left alone: the restore of a dump is one.)
CREATE FUNCTION baton._only_the_functions_write() RETURNS trigger LANGUAGE c
    AS 'MODULE_PATHNAME', 'only_the_functions_write_wrapper';
REVOKE ALL ON FUNCTION baton._only_the_functions_write, baton._capabilities_changed, baton._queues_seen, baton._clock, baton._state_name, baton._state_name_of_compensation FROM PUBLIC;

DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN
        SELECT c.oid FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'baton'::pg_catalog.regnamespace AND c.relkind = 'r' ORDER BY c.oid
    LOOP
        EXECUTE pg_catalog.format(
            'CREATE TRIGGER only_the_functions_write BEFORE UPDATE OR DELETE OR TRUNCATE ON %s
             FOR EACH STATEMENT EXECUTE FUNCTION baton._only_the_functions_write()', relation);
    END LOOP;
END
$$;

-- A dump keeps every row and every sequence.
DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN
        SELECT c.oid FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'baton'::pg_catalog.regnamespace AND c.relkind IN ('r', 'S') ORDER BY c.oid
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump(relation, '');
    END LOOP;
END
$$;

-- Whoever installs this may have default privileges that open every new table to somebody: not these.
DO $$
DECLARE
    opened record;
BEGIN
    FOR opened IN
        SELECT DISTINCT c.oid::regclass AS relation, a.grantee::regrole AS grantee FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relnamespace = 'baton'::regnamespace AND a.grantee <> c.relowner ORDER BY c.oid::regclass
    LOOP
        EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', opened.relation, CASE opened.grantee WHEN 0::regrole THEN 'PUBLIC' ELSE opened.grantee::text END);
    END LOOP;
END
$$;

SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('baton.install_path'), true);
