//! A verb that fails half way leaves nothing half done, in the tables or in its session. Every verb is stopped at every
//! table and every row that it waits for, at the end of every sequence, and where locks, temporary files, time or the
//! disk give out. Each time the tables must be what they were; and in the end the same session must do it well.

use std::collections::BTreeMap;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls, SimpleQueryMessage};

use xtask::cluster::Cluster;

use crate::volume::Volume;
use crate::{Played, Setting};

/// A verb, with work to do that takes it through as much of its code as can be. `{q}` is a name of its own (of its queue, most
/// often), `{name}` a column that one of the statements `given` has returned.
struct Case {
    verb: &'static str,
    given: &'static [&'static str],
    call: &'static str,
    /// The first column of its first row. None: a verb that returns nothing.
    says: Option<&'static str>,
}

const fn case(
    verb: &'static str,
    given: &'static [&'static str],
    call: &'static str,
    says: &'static str,
) -> Case {
    Case {
        verb,
        given,
        call,
        says: Some(says),
    }
}

const fn silent(verb: &'static str, given: &'static [&'static str], call: &'static str) -> Case {
    Case {
        verb,
        given,
        call,
        says: None,
    }
}

const QUEUE: &str = "SELECT queue_create('{q}', lease_ttl => '1 hour', backoff_base => '1 s')";
/// A queue of whose ends another one is told, and a slot key of one slot.
const TELLING: &str = "SELECT queue_create('{q}_ends'), slot_set('{q}', 1), queue_create('{q}', lease_ttl => '1 hour', \
     on_final_queue => '{q}_ends', on_final_states => ARRAY['completed', 'failed', 'cancelled', 'compensated', 'quarantined'])";
const TASK: &str = "SELECT task_id AS t FROM task_create('{q}')";
const LEASED: &str = "SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('{q}', 'w')";
const TWENTY: &str = "SELECT count(*) FROM task_create_many('{q}', (SELECT array_agg('{}'::jsonb) FROM generate_series(1, 20)))";
const TWENTY_LEASED: &str = "SELECT array_agg(task_id) AS t, array_agg(lease_token) AS l FROM task_acquire_lease('{q}', 'w', max_tasks => 20)";
/// A task that holds the one slot, which the next in line waits for.
const HOLDER: &[&str] = &[
    TELLING,
    "SELECT task_id AS t FROM task_create('{q}', slot_keys => ARRAY['{q}'])",
    "SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('{q}', 'w')",
    "SELECT task_id AS waits FROM task_create('{q}', name => 'waits', slot_keys => ARRAY['{q}'])",
];
/// The last item of a group.
const LAST_ITEM: &[&str] = &[
    TELLING,
    "SELECT run_id AS r FROM task_create_items('{q}', 'group', ARRAY['1', '2']::jsonb[], successor => 'join')",
    "SELECT outcome FROM task_acquire_lease('{q}', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed')",
    LEASED,
];
/// A task that has done something which can be undone, twice.
const REGISTERED: &[&str] = &[
    TELLING,
    "SELECT task_id AS t FROM task_create('{q}', max_attempts => 1, slot_keys => ARRAY['{q}'])",
    LEASED,
    "SELECT outcome FROM task_register_compensation({t}, {l}, 'one', '{q}')",
    "SELECT outcome FROM task_register_compensation({t}, {l}, 'two', '{q}')",
];
const STARTED: &str = r#"SELECT run_id AS r FROM workflow_start(definition => '{"steps": [
    {"name": "a", "queue": "{q}", "compensate": {"queue": "{q}"}},
    {"name": "b", "queue": "{q}", "needs": ["a"], "with_items": "$.input.items", "max_parallel": 2},
    {"name": "c", "queue": "{q}", "needs": ["a"], "slot_keys": ["{q}"]},
    {"name": "d", "queue": "{q}", "needs": ["b", "c"], "checkpoint": "before"}]}', input => '{"items": [1, 2, 3]}')"#;
/// A run that has come to its second steps.
const UNDER_WAY: &[&str] = &[
    TELLING,
    STARTED,
    "SELECT outcome FROM task_acquire_lease('{q}', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed')",
    "SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('{q}', 'w')",
];

const CASES: &[Case] = &[
    case(
        "task_create",
        &[TELLING],
        "SELECT outcome FROM task_create('{q}', '{\"a\": 1}', 'name', 'key', slot_keys => ARRAY['{q}'])",
        "created",
    ),
    case(
        "task_create_many",
        &[TELLING],
        "SELECT count(*) FROM task_create_many('{q}', (SELECT array_agg(to_jsonb(i)) FROM generate_series(1, 50) i), \
         keys => (SELECT array_agg(i::text) FROM generate_series(1, 50) i), slot_keys => ARRAY['{q}'])",
        "50",
    ),
    case(
        "task_create_items",
        &[TELLING],
        "SELECT outcome FROM task_create_items('{q}', 'group', (SELECT array_agg(to_jsonb(i)) FROM generate_series(1, 50) i), \
         max_parallel => 3, key => 'key', successor => 'join')",
        "created",
    ),
    // Something overdue, something due, something in line.
    case(
        "task_acquire_lease",
        &[
            TELLING,
            "SELECT task_create('{q}', max_attempts => 2, slot_keys => ARRAY['{q}'])",
            "SELECT task_id FROM task_acquire_lease('{q}', 'dead', '100 ms')",
            "SELECT task_create('{q}', run_at => clock_timestamp() + interval '50 ms'), task_create('{q}', priority => 5), pg_sleep(0.15)",
        ],
        "SELECT count(*) FROM task_acquire_lease('{q}', 'w', max_tasks => 10)",
        "3",
    ),
    case(
        "task_acquire_lease_by_id",
        &[QUEUE, TASK],
        "SELECT outcome FROM task_acquire_lease_by_id({t}, 'w')",
        "acquired",
    ),
    case(
        "task_start",
        &[QUEUE, TASK, LEASED],
        "SELECT outcome FROM task_start({t}, {l})",
        "started",
    ),
    case(
        "task_heartbeat",
        &[QUEUE, TASK, LEASED],
        "SELECT outcome FROM task_heartbeat({t}, {l}, '2 hours')",
        "extended",
    ),
    case(
        "task_heartbeat_many",
        &[QUEUE, TWENTY, TWENTY_LEASED],
        "SELECT string_agg(DISTINCT outcome, ' ') FROM task_heartbeat_many('{t}', '{l}', '2 hours')",
        "extended",
    ),
    case(
        "task_append_event",
        &[QUEUE, TASK, LEASED],
        "SELECT outcome FROM task_append_event({t}, 'note', '1', {l}, 'once')",
        "appended",
    ),
    case(
        "task_append_events",
        &[QUEUE, TASK, LEASED],
        "SELECT outcome FROM task_append_events({t}, ARRAY['a', 'b'], ARRAY['1', '2']::jsonb[], {l}, ARRAY['x', 'y'])",
        "appended",
    ),
    case(
        "task_finalize",
        HOLDER,
        "SELECT outcome FROM task_finalize({t}, {l}, 'completed', '{\"done\": true}')",
        "finalized",
    ),
    case(
        "task_finalize",
        LAST_ITEM,
        "SELECT outcome FROM task_finalize({t}, {l}, 'completed')",
        "finalized",
    ),
    case(
        "task_finalize",
        UNDER_WAY,
        "SELECT outcome FROM task_finalize({t}, {l}, 'completed')",
        "finalized",
    ),
    case(
        "task_finalize",
        UNDER_WAY,
        "SELECT outcome FROM task_finalize({t}, {l}, 'failed')",
        "finalized",
    ),
    case(
        "task_finalize",
        REGISTERED,
        "SELECT outcome FROM task_finalize({t}, {l}, 'failed')",
        "compensation_started",
    ),
    case(
        "task_finalize_many",
        &[TELLING, TWENTY, TWENTY_LEASED],
        "SELECT string_agg(DISTINCT outcome, ' ') FROM task_finalize_many('{t}', '{l}', (SELECT array_agg('completed'::text) FROM generate_series(1, 20)))",
        "finalized",
    ),
    case(
        "task_fail_attempt",
        HOLDER,
        "SELECT outcome FROM task_fail_attempt({t}, {l}, '\"no\"')",
        "retry_scheduled",
    ),
    case(
        "task_fail_attempt",
        REGISTERED,
        "SELECT outcome FROM task_fail_attempt({t}, {l}, '\"no\"')",
        "compensation_started",
    ),
    case(
        "task_release",
        HOLDER,
        "SELECT outcome FROM task_release({t}, {l}, '1 hour')",
        "released",
    ),
    case(
        "task_cancel",
        HOLDER,
        "SELECT outcome FROM task_cancel({t}, 'because', true)",
        "cancelled",
    ),
    case(
        "task_cancel",
        REGISTERED,
        "SELECT outcome FROM task_cancel({t}, force => true)",
        "compensation_started",
    ),
    case(
        "task_reap",
        &[
            TELLING,
            "SELECT task_create('{q}', slot_keys => ARRAY['{q}'])",
            "SELECT task_id FROM task_acquire_lease('{q}', 'dead', '100 ms')",
            "SELECT pg_sleep(0.12)",
        ],
        "SELECT outcome FROM task_reap(queue => '{q}')",
        "requeued",
    ),
    case(
        "task_reap_owner",
        &[
            TELLING,
            TASK,
            "SELECT task_id AS t, lease_token AS l FROM task_acquire_lease('{q}', '{q}')",
        ],
        "SELECT outcome FROM task_reap_owner('{q}', {l})",
        "requeued",
    ),
    case(
        "task_dispatch_successor",
        &[
            QUEUE,
            TASK,
            LEASED,
            "SELECT outcome FROM task_finalize({t}, {l}, 'completed')",
        ],
        "SELECT outcome FROM task_dispatch_successor({t}, 'next', '{q}')",
        "dispatched",
    ),
    case(
        "task_register_compensation",
        &[QUEUE, TASK, LEASED],
        "SELECT outcome FROM task_register_compensation({t}, {l}, 'undo', '{q}')",
        "registered",
    ),
    case(
        "task_annotate",
        &[QUEUE, TASK],
        "SELECT task_annotate({t}, '{\"a\": 1}')",
        "annotated",
    ),
    case(
        "task_redrive",
        &[
            QUEUE,
            TASK,
            LEASED,
            "SELECT outcome FROM task_finalize({t}, {l}, 'failed')",
        ],
        "SELECT outcome FROM task_redrive({t})",
        "redriven",
    ),
    silent(
        "task_require_lease",
        &[QUEUE, TASK, LEASED],
        "SELECT task_require_lease({t}, {l})",
    ),
    silent("queue_create", &[], "SELECT queue_create('{q}')"),
    silent(
        "queue_alter",
        &[QUEUE, "SELECT queue_create('{q}_ends')"],
        "SELECT queue_alter('{q}', max_attempts => 7, on_final_queue => '{q}_ends', on_final_states => ARRAY['failed'])",
    ),
    silent("queue_pause", &[QUEUE], "SELECT queue_pause('{q}')"),
    silent(
        "queue_resume",
        &[QUEUE, "SELECT queue_pause('{q}')"],
        "SELECT queue_resume('{q}')",
    ),
    silent("queue_drop", &[QUEUE], "SELECT queue_drop('{q}')"),
    case(
        "queue_redrive",
        &[
            QUEUE,
            TWENTY,
            TWENTY_LEASED,
            "SELECT count(*) FROM task_finalize_many('{t}', '{l}', (SELECT array_agg('failed'::text) FROM generate_series(1, 20)))",
        ],
        "SELECT count(*) FROM queue_redrive('{q}')",
        "20",
    ),
    silent(
        "slot_set",
        &[
            TELLING,
            "SELECT count(*) FROM task_create_many('{q}', ARRAY['1', '2', '3']::jsonb[], slot_keys => ARRAY['{q}'])",
        ],
        "SELECT slot_set('{q}', 3)",
    ),
    case(
        "workflow_define",
        &[QUEUE],
        r#"SELECT workflow_define('{q}', '{"steps": [{"name": "a", "queue": "{q}"}]}')"#,
        "1",
    ),
    case(
        "workflow_start",
        &[
            TELLING,
            r#"SELECT workflow_define('{q}', '{"max_parallel": 2, "steps": [{"name": "a", "queue": "{q}", "with_items": "$.input.items"}]}')"#,
        ],
        r#"SELECT outcome FROM workflow_start('{q}', '{"items": [1, 2, 3]}', 'key')"#,
        "started",
    ),
    case(
        "workflow_pause",
        UNDER_WAY,
        "SELECT workflow_pause({r}, 'here')",
        "paused",
    ),
    case(
        "workflow_resume",
        &[TELLING, STARTED, "SELECT workflow_pause({r}, 'here')"],
        "SELECT workflow_resume({r}, 'here')",
        "resumed",
    ),
    case(
        "workflow_cancel",
        UNDER_WAY,
        "SELECT outcome FROM workflow_cancel({r}, running => 'force')",
        "cancel_requested",
    ),
    case(
        "workflow_finalize",
        &[
            QUEUE,
            "SELECT run_id AS r FROM task_create_items('{q}', 'group', ARRAY['1']::jsonb[])",
            "SELECT outcome FROM task_acquire_lease('{q}', 'w') l, task_finalize(l.task_id, l.lease_token, 'completed')",
        ],
        "SELECT workflow_finalize({r}, 'completed', '1')",
        "finalized",
    ),
    case(
        "workflow_annotate",
        UNDER_WAY,
        "SELECT workflow_annotate({r}, '{\"a\": 1}')",
        "annotated",
    ),
    case(
        "workflow_append_event",
        UNDER_WAY,
        "SELECT outcome FROM workflow_append_event({r}, 'note', '1', 'once')",
        "appended",
    ),
    silent(
        "baton_grant",
        &[QUEUE, "CREATE ROLE {q}"],
        "SELECT baton_grant('{q}', 'work', '{q}')",
    ),
    silent(
        "baton_revoke",
        &[
            QUEUE,
            "CREATE ROLE {q}",
            "SELECT baton_grant('{q}', 'work', '{q}')",
        ],
        "SELECT baton_revoke('{q}', 'work', '{q}')",
    ),
    case(
        "baton_purge",
        &[
            TELLING,
            TWENTY,
            TWENTY_LEASED,
            "SELECT count(*) FROM task_finalize_many('{t}', '{l}', (SELECT array_agg('completed'::text) FROM generate_series(1, 20)))",
        ],
        "SELECT tasks FROM baton_purge('0', queue => '{q}')",
        "20",
    ),
];

const THOUSAND: &str = "SELECT count(*) FROM task_create_many('{q}', (SELECT array_agg('{}'::jsonb) FROM generate_series(1, 1000)))";
const THOUSAND_LEASED: &str = "SELECT array_agg(task_id) AS t, array_agg(lease_token) AS l FROM task_acquire_lease('{q}', 'w', max_tasks => 1000)";

/// Work enough to run out of something on the way.
const BATCHES: &[Case] = &[
    case(
        "task_create_many",
        &[QUEUE],
        "SELECT count(*) FROM task_create_many('{q}', (SELECT array_agg(jsonb_build_object('text', repeat('x', 500))) FROM generate_series(1, 10000)))",
        "10000",
    ),
    case(
        "task_create_items",
        &[QUEUE],
        "SELECT count(*) FROM task_create_items('{q}', 'group', (SELECT array_agg(jsonb_build_object('text', repeat('x', 500))) FROM generate_series(1, 10000)), successor => 'join')",
        "10000",
    ),
    case(
        "task_acquire_lease",
        &[QUEUE, THOUSAND],
        "SELECT count(*) FROM task_acquire_lease('{q}', 'w', max_tasks => 1000)",
        "1000",
    ),
    case(
        "task_finalize_many",
        &[TELLING, THOUSAND, THOUSAND_LEASED],
        "SELECT count(*) FROM task_finalize_many('{t}', '{l}', (SELECT array_agg('completed'::text) FROM generate_series(1, 1000)), \
         (SELECT array_agg(jsonb_build_object('text', repeat('x', 500))) FROM generate_series(1, 1000)))",
        "1000",
    ),
    case(
        "queue_redrive",
        &[
            QUEUE,
            THOUSAND,
            THOUSAND_LEASED,
            "SELECT count(*) FROM task_finalize_many('{t}', '{l}', (SELECT array_agg('failed'::text) FROM generate_series(1, 1000)))",
        ],
        "SELECT count(*) FROM queue_redrive('{q}', max_tasks => 1000)",
        "1000",
    ),
];

pub const SCENARIOS: &[(&str, crate::Scenario)] =
    &[("stopped", stopped), ("out of room", out_of_room)];

/// A server with few locks.
const SERVER: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("autovacuum", "off"),
    ("max_connections", "10"),
    ("max_locks_per_transaction", "10"),
];

fn stopped(setting: &Setting) -> Result<Played> {
    let cluster = setting.cluster("half", SERVER)?;
    let mut stage = Stage::on(&cluster, !setting.quick)?;
    let forgotten = stage.verbs_without_case()?;
    ensure!(
        forgotten.is_empty(),
        "no case is about {}",
        forgotten.join(", ")
    );
    let mut hindrances = stage.places()?;
    hindrances.extend([0, 1, 2, 3, 5, 8, 12].map(few_locks));
    stage.examine(CASES, &hindrances)?;
    stage.played(&cluster)
}

fn out_of_room(setting: &Setting) -> Result<Played> {
    let cluster = setting.cluster("half", SERVER)?;
    let mut stage = Stage::on(&cluster, !setting.quick)?;
    let times: &[u32] = if setting.quick {
        &[5, 50]
    } else {
        &[1, 2, 5, 10, 20, 50, 100, 200]
    };
    let mut hindrances: Vec<Hindrance> = times
        .iter()
        .map(|ms| {
            Hindrance::of_session(
                format!("{ms} ms"),
                format!("SET LOCAL statement_timeout = '{ms} ms'"),
                "57014",
            )
        })
        .collect();
    hindrances.push(Hindrance::of_session(
        "no temporary files".to_owned(),
        "SET LOCAL work_mem = '64 kB'; SET LOCAL temp_file_limit = 0".to_owned(),
        "53400",
    ));
    hindrances.push(few_locks(0));
    stage.examine(BATCHES, &hindrances)?;
    stage.played(&cluster)
}

/// Every verb on a disk with so many blocks left.
pub fn on_a_full_disk(
    cluster: &Cluster,
    disk: &Volume,
    blocks: &[u64],
    thorough: bool,
) -> Result<Played> {
    let mut stage = Stage::on(cluster, thorough)?;
    let full = |left: &u64| {
        let (left, disk, same) = (*left, disk.clone(), disk.clone());
        Hindrance::new(
            format!("a disk with {left} blocks left"),
            Box::new(move |_| disk.fill(left * 8192)),
            Box::new(move |other| {
                same.give_back()?;
                // What the calls have written to the WAL is of no use.
                Ok(other.batch_execute("CHECKPOINT")?)
            }),
            "53100",
        )
    };
    let hindrances: Vec<Hindrance> = blocks.iter().map(full).collect();
    stage.examine(
        CASES,
        if thorough {
            &hindrances
        } else {
            &hindrances[..1]
        },
    )?;
    // (these leave much behind to be compared)
    stage.examine(BATCHES, &hindrances)?;
    stage.played(cluster)
}

/// All shared locks but some are taken.
fn few_locks(left: u32) -> Hindrance {
    Hindrance::sql(
        format!("the last but {left} of the locks"),
        format!(
            "DO $$ BEGIN PERFORM pg_advisory_lock(n) FROM generate_series(1, 1000000) n; EXCEPTION WHEN out_of_memory THEN NULL; END $$; \
             SELECT pg_advisory_unlock(n) FROM generate_series(1, {left}) n"
        ),
        "SELECT pg_advisory_unlock_all()".to_owned(),
        "53200",
    )
}

/// The rows of every table, as text.
type Seen = BTreeMap<String, String>;

type Deed = Box<dyn Fn(&mut Client) -> Result<()>>;

/// What keeps a verb from going on.
struct Hindrance {
    name: String,
    /// Put up and taken down by another session.
    up: Deed,
    down: Deed,
    /// Set in the transaction of the call.
    setting: String,
    error: &'static str,
}

impl Hindrance {
    fn new(name: String, up: Deed, down: Deed, error: &'static str) -> Hindrance {
        Hindrance {
            name,
            up,
            down,
            setting: "SET LOCAL lock_timeout = '1 ms'".to_owned(),
            error,
        }
    }

    fn sql(name: String, up: String, down: String, error: &'static str) -> Hindrance {
        let run = |sql: String| -> Deed { Box::new(move |other| Ok(other.batch_execute(&sql)?)) };
        Hindrance::new(name, run(up), run(down), error)
    }

    fn of_session(name: String, setting: String, error: &'static str) -> Hindrance {
        Hindrance {
            setting,
            ..Hindrance::new(name, Box::new(|_| Ok(())), Box::new(|_| Ok(())), error)
        }
    }

    fn is_a_lock(&self) -> bool {
        self.error == "55P03"
    }

    fn is_of_the_disk(&self) -> bool {
        self.error == "53100"
    }
}

/// How a call that waits is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Cancel,
    Terminate,
}

/// A database in which nobody else does anything.
struct Stage {
    config: Config,
    /// It calls the verbs.
    session: Client,
    other: Client,
    read_tables: String,
    cases: usize,
    /// How often a call was stopped by each error.
    stops: BTreeMap<String, usize>,
    violations: Vec<String>,
    /// Everything is put in the way of each call; calls that wait are ended in each way, wherever they wait; and what goes through
    /// nevertheless is looked at.
    thorough: bool,
}

impl Stage {
    fn on(cluster: &Cluster, thorough: bool) -> Result<Stage> {
        cluster.psql("postgres", "CREATE DATABASE half")?;
        cluster.psql("half", "CREATE EXTENSION pg_baton")?;
        let mut config = Config::new();
        config
            .host_path(cluster.socket_dir())
            .user("postgres")
            .dbname("half");
        let mut other = config.connect(NoTls)?;
        let read: Vec<String> = names(&mut other, 'r')?
            .iter()
            .map(|table| format!("SELECT '{table}', count(*) || ' rows ' || coalesce(md5(string_agg(t::text, ' ' ORDER BY t::text)), '') FROM baton.{table} t"))
            .collect();
        Ok(Stage {
            session: config.connect(NoTls)?,
            config,
            other,
            read_tables: read.join(" UNION ALL "),
            cases: 0,
            stops: BTreeMap::new(),
            violations: Vec::new(),
            thorough,
        })
    }

    /// Where a verb may have to wait, and where it may find no number.
    fn places(&mut self) -> Result<Vec<Hindrance>> {
        let mut places = Vec::new();
        for table in names(&mut self.other, 'r')? {
            places.push(Hindrance::sql(
                format!("table {table}"),
                format!("BEGIN; LOCK TABLE baton.{table} IN ACCESS EXCLUSIVE MODE"),
                "ROLLBACK".to_owned(),
                "55P03",
            ));
            places.push(Hindrance::sql(
                format!("the rows of {table}"),
                format!(
                    "BEGIN; SELECT count(*) FROM (SELECT FROM baton.{table} FOR UPDATE) AS locked"
                ),
                "ROLLBACK".to_owned(),
                "55P03",
            ));
        }
        for sequence in names(&mut self.other, 'S')? {
            places.push(Hindrance::sql(
                format!("the end of {sequence}"),
                format!(
                    "CREATE TABLE kept AS SELECT last_value, is_called FROM baton.{sequence}; \
                     SELECT setval('baton.{sequence}', seqmax) FROM pg_sequence WHERE seqrelid = 'baton.{sequence}'::regclass"
                ),
                format!("SELECT setval('baton.{sequence}', last_value, is_called) FROM kept; DROP TABLE kept"),
                "2200H",
            ));
        }
        Ok(places)
    }

    /// The verbs of the catalog that no case is about.
    fn verbs_without_case(&mut self) -> Result<Vec<String>> {
        let verbs = "SELECT DISTINCT proname FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e' \
                     JOIN pg_extension e ON e.oid = d.refobjid \
                     WHERE extname = 'pg_baton' AND provolatile = 'v' AND pronamespace <> 'baton'::regnamespace";
        let mut verbs = column(&mut self.other, verbs)?;
        verbs.retain(|verb| CASES.iter().all(|case| case.verb != verb));
        Ok(verbs)
    }

    fn seen(&mut self) -> Result<Seen> {
        let all = rows(&mut self.other, &self.read_tables)?;
        Ok(all
            .into_iter()
            .map(|row| (row[0].1.clone(), row[1].1.clone()))
            .collect())
    }

    /// Stops each call, then lets it through.
    fn examine(&mut self, cases: &[Case], hindrances: &[Hindrance]) -> Result<()> {
        for case in cases {
            let call = self
                .prepare(case)
                .with_context(|| format!("work for {}", case.verb))?;
            let before = self.seen()?;
            let mut stops = 0;
            for (at, hindrance) in hindrances.iter().enumerate() {
                // In a slice each call meets other places than the one before.
                let turn = self.cases + at;
                if hindrances.len() > 20 && !self.thorough && !turn.is_multiple_of(3) {
                    continue;
                }
                let what = format!(
                    "{} (case {}), stopped by {}",
                    case.verb, self.cases, hindrance.name
                );
                (hindrance.up)(&mut self.other).with_context(|| what.clone())?;
                let stopped = self.in_vain(&call, hindrance, &what);
                let ended = match stopped {
                    Ok(true)
                        if hindrance.is_a_lock() && (self.thorough || turn.is_multiple_of(12)) =>
                    {
                        [End::Cancel, End::Terminate]
                            .into_iter()
                            .try_for_each(|end| self.end(&call, end, &what))
                    }
                    _ => Ok(()),
                };
                (hindrance.down)(&mut self.other)?;
                ended?;
                if stopped? {
                    stops += 1;
                    self.compare(&before, &what)?;
                } else {
                    self.went_through(&what)?;
                }
            }
            // A single row mostly finds room where another one was.
            if stops == 0
                && (self.thorough || hindrances.len() <= 20)
                && !hindrances[0].is_of_the_disk()
            {
                self.violations.push(format!(
                    "{} (case {}) is stopped by nothing",
                    case.verb, self.cases
                ));
            }
            let said = column(&mut self.session, &call)
                .with_context(|| format!("{call}, let through at last"))?;
            if case.says.is_some() && said.first().map(String::as_str) != case.says {
                self.violations.push(format!(
                    "{call}, let through at last: {said:?} instead of {:?}",
                    case.says
                ));
            }
            if self.seen()? == before && case.verb != "task_require_lease" {
                self.violations
                    .push(format!("{call}, let through at last, has changed nothing"));
            }
            self.cases += 1;
        }
        Ok(())
    }

    /// A call that did not need what was kept from it has done all it does; then it is undone.
    fn went_through(&mut self, what: &str) -> Result<()> {
        if self.thorough {
            let check = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; SET LOCAL temp_file_limit = -1; \
                         SELECT to_jsonb(c) FROM baton_check(true) c";
            for broken in column(&mut self.session, check)? {
                self.violations
                    .push(format!("{what}, went through: {broken}"));
            }
        }
        Ok(self.session.batch_execute("ROLLBACK")?)
    }

    /// Makes the work that the case is about, and returns its call.
    fn prepare(&mut self, case: &Case) -> Result<String> {
        let mut known = vec![("q".to_owned(), format!("q{}", self.cases))];
        for sql in case.given {
            let given =
                rows(&mut self.other, &filled(sql, &known)).with_context(|| filled(sql, &known))?;
            // What was found last stands.
            known.splice(0..0, given.into_iter().next().unwrap_or_default());
        }
        Ok(filled(case.call, &known))
    }

    /// Calls within a transaction that goes on without the call, and alone. Whether the call was stopped; if not, the transaction is
    /// still open.
    fn in_vain(&mut self, call: &str, hindrance: &Hindrance, what: &str) -> Result<bool> {
        let call = format!("{}; {call}", hindrance.setting);
        self.session.batch_execute("BEGIN; SAVEPOINT before")?;
        let Err(why) = self.session.simple_query(&call) else {
            return Ok(false);
        };
        self.note(&why, hindrance.error, what);
        self.session.batch_execute("ROLLBACK TO before")?;
        self.look_around(what)?;
        self.session.batch_execute("ROLLBACK TO before; COMMIT")?;
        // With locks or time that are just enough it may go through now: then it is undone.
        self.session.batch_execute("BEGIN")?;
        if let Err(why) = self.session.simple_query(&call) {
            self.note(&why, hindrance.error, what);
        }
        self.session.batch_execute("ROLLBACK")?;
        Ok(true)
    }

    /// Ends a call that waits.
    fn end(&mut self, call: &str, end: End, what: &str) -> Result<()> {
        let what = &format!("{what} ({end:?})");
        let pid = &column(&mut self.session, "SELECT pg_backend_pid()")?[0];
        let (session, other) = (&mut self.session, &mut self.other);
        let (outcome, ended) = scope(|threads| {
            let call = threads.spawn(|| session.simple_query(call).map(drop));
            let ended = end_when_it_waits(other, pid, || call.is_finished(), end);
            (call.join().expect("a call does not panic"), ended)
        });
        ended?;
        match (outcome, end) {
            (Ok(()), _) => bail!("{what}: it did not wait"),
            (Err(why), End::Cancel) => {
                self.note(&why, "57014", what);
                self.session.batch_execute("BEGIN")?;
                self.look_around(what)?;
                self.session.batch_execute("ROLLBACK")?;
            }
            (Err(why), End::Terminate) => {
                self.note(&why, "57P01", what);
                self.session = self.config.connect(NoTls)?;
            }
        }
        Ok(())
    }

    /// The session acts as the caller again, with the caller's settings, and may not write by itself.
    fn look_around(&mut self, what: &str) -> Result<()> {
        let around = "SELECT current_user || ' ' || current_setting('search_path') || ' ' || current_setting('synchronous_commit')";
        match self.session.simple_query(around) {
            Ok(_) => {}
            // There may be no lock left for this look, either.
            Err(error) if error.code() == Some(&SqlState::OUT_OF_MEMORY) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let found = column(&mut self.session, around)?;
        if found != [r#"postgres "$user", public on"#] {
            self.violations
                .push(format!("{what}: the session is left as {found:?}"));
        }
        // (A table that is locked would not let it, either.)
        let write =
            "SET LOCAL lock_timeout = '1 ms'; UPDATE baton.task SET name = name WHERE false";
        if self.session.simple_query(write).is_ok() {
            self.violations
                .push(format!("{what}: the session may write to the tables"));
        }
        Ok(())
    }

    /// Counts the error by which a call was stopped, if it is the right one.
    fn note(&mut self, why: &postgres::Error, right: &str, what: &str) {
        // Sometimes the end of the connection is faster than the reason for it.
        let code = why.code().map_or("57P01", SqlState::code);
        if code == right {
            *self.stops.entry(code.to_owned()).or_default() += 1;
        } else {
            let why = why
                .as_db_error()
                .map_or(why.to_string(), ToString::to_string);
            self.violations
                .push(format!("{what}: {code} {why} instead of {right}"));
        }
    }

    fn compare(&mut self, before: &Seen, what: &str) -> Result<()> {
        let now = self.seen()?;
        for (table, was) in before
            .iter()
            .filter(|(table, was)| now.get(*table) != Some(*was))
        {
            self.violations.push(format!(
                "{what}: {table} had {was}, has {:?}",
                now.get(table)
            ));
        }
        Ok(())
    }

    /// What all of it came to; the log tells what no session has heard.
    fn played(mut self, cluster: &Cluster) -> Result<Played> {
        for row in column(
            &mut self.other,
            "SELECT to_jsonb(c) FROM baton_check(true) c",
        )? {
            self.violations.push(format!("baton_check: {row}"));
        }
        let log = std::fs::read_to_string(cluster.log())?;
        let bad = ["PANIC:", "terminated by signal", "leak", "still referenced"];
        self.violations.extend(
            log.lines()
                .filter(|line| bad.iter().any(|word| line.contains(word)))
                .map(str::to_owned),
        );
        let stops: Vec<String> = self
            .stops
            .iter()
            .map(|(code, count)| format!("{code} {count} times"))
            .collect();
        Ok(Played {
            what: format!("{} calls, stopped by {}", self.cases, stops.join(", ")),
            violations: self.violations,
        })
    }
}

/// Waits until a session waits for a lock, and ends its call.
fn end_when_it_waits(
    other: &mut Client,
    pid: &str,
    is_over: impl Fn() -> bool,
    end: End,
) -> Result<()> {
    let function = match end {
        End::Cancel => "pg_cancel_backend",
        End::Terminate => "pg_terminate_backend",
    };
    // (pg_stat_activity is read once in a transaction)
    let sql = format!(
        "SELECT pg_stat_clear_snapshot(); SELECT {function}(pid) FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Lock'"
    );
    let begun = Instant::now();
    while !is_over() && rows(other, &sql)?.len() < 2 {
        if begun.elapsed() > Duration::from_secs(10) {
            rows(other, &format!("SELECT pg_terminate_backend({pid})"))?;
            bail!("it never waits");
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Tables or sequences of the extension.
fn names(client: &mut Client, kind: char) -> Result<Vec<String>> {
    column(
        client,
        &format!(
            "SELECT relname FROM pg_class WHERE relnamespace = 'baton'::regnamespace AND relkind = '{kind}' ORDER BY 1"
        ),
    )
}

/// The first column of each row of a query.
fn column(client: &mut Client, sql: &str) -> Result<Vec<String>> {
    Ok(rows(client, sql)?
        .into_iter()
        .map(|mut row| row.swap_remove(0).1)
        .collect())
}

/// The rows of a query, each a list of column names and values.
fn rows(client: &mut Client, sql: &str) -> Result<Vec<Vec<(String, String)>>> {
    let row = |message: SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|i| {
                    (
                        row.columns()[i].name().to_owned(),
                        row.get(i).unwrap_or_default().to_owned(),
                    )
                })
                .collect(),
        ),
        _ => None,
    };
    Ok(client
        .simple_query(sql)?
        .into_iter()
        .filter_map(row)
        .collect())
}

fn filled(sql: &str, known: &[(String, String)]) -> String {
    known.iter().fold(sql.to_owned(), |sql, (name, value)| {
        sql.replace(&format!("{{{name}}}"), value)
    })
}
