//! More than one server: a standby takes over, a backup is restored to a moment, a server crashes under callers who do not
//! wait for the disk; and what a standby answers while it is one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postgres::{Client, Config, IsolationLevel, NoTls};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use xtask::cluster::{Cluster, Crash};

use crate::load::{Keeps, Load, PREPARE, Plan};
use crate::{Played, Scenario, Setting};

pub const SCENARIOS: &[(&str, Scenario)] = &[
    ("synchronous standby", synchronous),
    ("asynchronous standby", asynchronous),
    ("point in time", point_in_time),
    ("asynchronous callers", asynchronous_callers),
    ("on a standby", on_a_standby),
    ("conflicts on a standby", conflicts),
];

/// Nothing here is about the disk: a process that is killed takes nothing back that it has written. What nobody flushes is
/// flushed late, so that a crash takes it. WAL is kept for who is restored or rewound.
const SERVER: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("wal_writer_delay", "10s"),
    ("wal_keep_size", "512MB"),
    ("wal_log_hints", "on"),
    ("wal_retrieve_retry_interval", "100ms"),
];

/// There is one standby at most; one that cannot follow comes and goes.
const STREAMING: &str = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL)";
const CLIENTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);
const NAMES: [&str; 2] = ["failover-a", "failover-b"];

/// A primary with the extension, the load's queues, and a load that goes to whatever server is the primary.
struct Stage {
    primary: Cluster,
    /// Where the clients go.
    place: Arc<Mutex<PathBuf>>,
    load: Load,
    rng: SmallRng,
    kept: usize,
    lost: usize,
}

impl Stage {
    fn new(setting: &Setting, unflushed: fn(usize) -> bool) -> Result<Stage> {
        let primary = setting.cluster(NAMES[0], SERVER)?;
        // In its file, too: before it is rewound, the killed server recovers without our settings.
        for (name, value) in SERVER.iter().filter(|(name, _)| name.starts_with("wal_")) {
            primary.psql("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"))?;
        }
        primary.psql("postgres", "CREATE EXTENSION pg_baton")?;
        primary.psql("postgres", PREPARE)?;
        let place = Arc::new(Mutex::new(primary.socket_dir()));
        let there = Arc::clone(&place);
        let plan = Plan {
            clients: CLIENTS,
            seed: setting.seed,
            unflushed,
            tolerated: |_| false,
        };
        let load = Load::start(
            plan,
            Box::new(move |_| connect(&there.lock().expect("nobody panics")).ok()),
        );
        Ok(Stage {
            primary,
            place,
            load,
            rng: SmallRng::seed_from_u64(setting.seed),
            kept: 0,
            lost: 0,
        })
    }

    /// The clients work for a while.
    fn work(&mut self, ms: std::ops::Range<u64>) {
        sleep(Duration::from_millis(self.rng.random_range(ms)));
    }

    /// The primary is gone, and this server is there instead.
    fn take_over(&mut self, by: Cluster, keeps: Keeps) -> Result<Cluster> {
        let settled = self
            .load
            .ledger()
            .settle(&mut connect(&by.socket_dir())?, keeps)?;
        ensure!(settled.kept > 0, "nothing was going on: {settled:?}");
        self.kept += settled.kept;
        self.lost += settled.lost;
        *self.place.lock().expect("nobody panics") = by.socket_dir();
        self.load.go_on();
        Ok(std::mem::replace(&mut self.primary, by))
    }

    /// A standby of the primary: the former primary, rewound, or a new copy.
    fn follower(&self, old: Option<Cluster>, turn: usize) -> Result<Cluster> {
        if let Some(mut old) = old
            && turn % 2 == 1
        {
            old.rewind(&self.primary)?;
            old.recover()?;
            wait_until(&self.primary, STREAMING)?;
            return Ok(old);
        }
        standby(&self.primary, other(&self.primary), &[])
    }

    /// What is left is brought to its end, and all of it looked at.
    fn end(mut self, what: &str) -> Result<Played> {
        let mut server = connect(&self.primary.socket_dir())?;
        self.load.drain(&mut server, PATIENCE)?;
        let mut ledger = self.load.ledger();
        ledger.check(&mut server)?;
        let (answers, unknown) = ledger.counts();
        Ok(Played {
            what: format!(
                "{what}; {answers} calls answered, {unknown} not; of what the faults might have taken {} kept, {} lost",
                self.kept, self.lost
            ),
            violations: ledger.violations().to_vec(),
        })
    }
}

fn connect(place: &Path) -> Result<Client> {
    config(place)
        .connect(NoTls)
        .with_context(|| format!("no server in {}", place.display()))
}

fn config(place: &Path) -> Config {
    let mut config = Config::new();
    config
        .host_path(place)
        .user("postgres")
        .dbname("postgres")
        .connect_timeout(Duration::from_secs(2));
    config
}

/// A standby that follows this server.
fn standby(of: &Cluster, name: &str, more: &[(&str, &str)]) -> Result<Cluster> {
    let mut standby = of.backup(name, &["-R"], &[SERVER, more].concat())?;
    standby.recover()?;
    wait_until(of, STREAMING)?;
    Ok(standby)
}

fn other(cluster: &Cluster) -> &'static str {
    NAMES[usize::from(
        cluster
            .socket_dir()
            .parent()
            .is_some_and(|dir| dir.ends_with(NAMES[0])),
    )]
}

fn wait_until(server: &Cluster, question: &str) -> Result<()> {
    let begun = Instant::now();
    while server.psql("postgres", question)? != "t" {
        ensure!(begun.elapsed() < PATIENCE, "never true: {question}");
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Returns when the standby shows what the primary has committed.
fn catch_up(primary: &Cluster, standby: &Cluster) -> Result<()> {
    let written = primary.psql("postgres", "CHECKPOINT; SELECT pg_current_wal_lsn()")?;
    wait_until(
        standby,
        &format!("SELECT pg_last_wal_replay_lsn() >= '{written}'"),
    )
}

/// The primary is killed again and again, and its synchronous standby promoted: nothing acknowledged is lost. The killed one
/// becomes the next standby, rewound, or as a new one.
fn synchronous(setting: &Setting) -> Result<Played> {
    let mut stage = Stage::new(setting, |client| client % 2 == 1)?;
    let promotions = setting.times(20, 3);
    // Not among the server's settings: it could not make itself ready without a standby.
    stage.primary.psql(
        "postgres",
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
    )?;
    let mut old = None;
    for promotion in 0..promotions {
        let next = stage.follower(old, promotion)?;
        stage.primary.psql("postgres", "SELECT pg_reload_conf()")?;
        wait_until(
            &stage.primary,
            "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')",
        )?;
        stage.work(300..1000);
        stage.primary.crash(Crash::Kill)?;
        stage.load.hold();
        next.promote()?;
        old = Some(stage.take_over(next, Keeps::Durable)?);
    }
    // All clients wait for a standby that is not there; this lets them go.
    stage.primary.psql(
        "postgres",
        "ALTER SYSTEM SET synchronous_standby_names = ''",
    )?;
    stage.primary.psql("postgres", "SELECT pg_reload_conf()")?;
    stage.end(&format!("{promotions} promotions"))
}

/// The standby has fallen behind when it is promoted: what is lost is what came last, and none of the lost tokens comes back. A primary
/// that is shut down in order gives its standby all it has, whoever waited for it.
fn asynchronous(setting: &Setting) -> Result<Played> {
    let mut stage = Stage::new(setting, |client| client % 2 == 1)?;
    let promotions = setting.times(10, 1);
    let mut old = None;
    for promotion in 0..promotions {
        let next = stage.follower(old, promotion)?;
        stage.work(300..800);
        // It hears no more of the primary.
        next.psql("postgres", "ALTER SYSTEM SET primary_conninfo = ''")?;
        next.psql("postgres", "SELECT pg_reload_conf()")?;
        stage.work(200..500);
        stage.primary.crash(Crash::Kill)?;
        stage.load.hold();
        next.promote()?;
        old = Some(stage.take_over(next, Keeps::Prefix)?);
    }
    ensure!(
        stage.lost > 0,
        "nothing was lost, so that nothing was tried"
    );
    let next = stage.follower(old, promotions)?;
    stage.work(300..800);
    stage.primary.stop()?;
    stage.load.hold();
    let all = Instant::now();
    next.promote()?;
    stage.take_over(next, Keeps::Until(all, all))?;
    stage.end(&format!("{promotions} promotions and a switch"))
}

/// A base backup and the WAL bring back a moment in the middle of the load: all that was answered before it, nothing begun after.
fn point_in_time(setting: &Setting) -> Result<Played> {
    let mut stage = Stage::new(setting, |client| client % 2 == 1)?;
    let targets = [
        ("recovery_target_time", "clock_timestamp()"),
        ("recovery_target_xid", "pg_current_xact_id()"),
    ];
    for (target, now) in targets {
        let mut copy = stage.primary.backup(other(&stage.primary), &[], SERVER)?;
        stage.work(300..800);
        let before = Instant::now();
        let moment = stage.primary.psql("postgres", &format!("SELECT {now}"))?;
        let after = Instant::now();
        stage.work(300..800);
        stage.primary.crash(Crash::Kill)?;
        stage.load.hold();
        copy.restore(&stage.primary, &[(target, &moment)])?;
        stage.take_over(copy, Keeps::Until(before, after))?;
    }
    stage.end("to a time and to a transaction")
}

/// Nobody waits for the disk, and the server crashes: leases and ends are there all the same, and no token comes twice.
fn asynchronous_callers(setting: &Setting) -> Result<Played> {
    let mut stage = Stage::new(setting, |_| true)?;
    let crashes = setting.times(10, 2);
    for crash in 0..crashes {
        stage.work(200..600);
        stage.primary.crash(if crash % 2 == 0 {
            Crash::Kill
        } else {
            Crash::Immediate
        })?;
        stage.load.hold();
        stage.primary.recover()?;
        let settled = stage
            .load
            .ledger()
            .settle(&mut connect(&stage.primary.socket_dir())?, Keeps::Durable)?;
        stage.kept += settled.kept;
        stage.lost += settled.lost;
        stage.load.go_on();
    }
    stage.end(&format!("{crashes} crashes"))
}

/// What the standby is asked about, and calls for which each function has something to answer.
const SOMETHING: &str = "
    SELECT queue_create('seen', lease_ttl => '1 h');
    SELECT task_create('seen', key => 'seen');
    SELECT task_acquire_lease('seen', 'worker');
    SELECT task_register_compensation(task_id, lease_token, 'undo', 'seen') FROM task_get_by_key('seen', 'seen');
    SELECT task_annotate(task_id, '{\"seen\": true}', lease_token) FROM task_get_by_key('seen', 'seen');
    SELECT task_create_items('seen', 'items', ARRAY['{}', '{}']::jsonb[], key => 'items', successor => 'after');
    SELECT workflow_start(definition => '{\"steps\": [{\"name\": \"one\", \"queue\": \"seen\", \"compensate\": {\"queue\": \"seen\"}}]}', key => 'seen');
    SELECT t.task_id, task_finalize(t.task_id, l.lease_token, 'completed') FROM task_list('seen', name => 'one') t, task_acquire_lease_by_id(t.task_id, 'worker') l;
    CREATE ROLE seer;
    SELECT baton_grant('seer', 'work', 'seen');";

/// All functions of the extension: those that read answer on a standby what they answer on the primary, all others 25006. And sessions that
/// began on the standby see what changes, also who may what, and live on when it is promoted.
fn on_a_standby(setting: &Setting) -> Result<Played> {
    let mut stage = Stage::new(setting, |client| client % 2 == 1)?;
    stage.work(300..500);
    stage.load.hold();
    stage.primary.psql("postgres", SOMETHING)?;
    let next = standby(&stage.primary, NAMES[1], &[])?;
    catch_up(&stage.primary, &next)?;
    let mut violations = Vec::new();
    let mut primary = connect(&stage.primary.socket_dir())?;
    let mut session = connect(&next.socket_dir())?;
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[])?.get(0);

    let (mut reads, mut verbs) = (0, 0);
    for (name, is_verb, call) in calls(&mut primary)? {
        let question = format!("SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]')::text FROM {call} r");
        let answer = session
            .query_one(&question, &[])
            .map(|row| row.get::<_, String>(0));
        match answer {
            Err(error) if is_verb && error.code().is_some_and(|code| code.code() == "25006") => {
                verbs += 1
            }
            Ok(answer) if !is_verb => {
                reads += 1;
                let there: String = primary.query_one(&question, &[])?.get(0);
                if answer != there {
                    violations.push(format!(
                        "{call} answers {answer} on the standby, and {there} on the primary"
                    ));
                }
                if answer == "[]" && name != "baton_check" {
                    violations.push(format!("{call} answers nothing, which shows nothing"));
                }
            }
            other => violations.push(format!("{call} on a standby: {other:?}")),
        }
    }
    for row in primary.query("SELECT format('baton.%I', relname) FROM pg_class WHERE relnamespace = 'baton'::regnamespace AND relkind = 'v'", &[])? {
        reads += 1;
        let question = format!("SELECT count(*) FROM {}", row.get::<_, String>(0));
        let count = |server: &mut Client| server.query_one(&question, &[]).map(|row| row.get::<_, i64>(0));
        let (here, there) = (count(&mut session)?, count(&mut primary)?);
        if here != there || here == 0 {
            violations.push(format!("{question}: {here} on the standby, {there} on the primary"));
        }
    }
    ensure!(
        reads > 10 && verbs > 30,
        "{reads} functions that read, {verbs} others"
    );

    // What the primary changes reaches a session of the standby that knew it otherwise.
    let mut seer = connect(&next.socket_dir())?;
    seer.batch_execute("SET ROLE seer")?;
    let mut sees = |why: &str, expected: Result<i64, &str>| {
        let seen = seer
            .query_one("SELECT count(*) FROM task_list('seen')", &[])
            .map(|row| row.get::<_, i64>(0));
        let seen = seen.map_err(|error| {
            error
                .code()
                .map_or_else(|| error.to_string(), |code| code.code().to_owned())
        });
        if seen != expected.map_err(str::to_owned) {
            violations.push(format!("{why}: {seen:?} instead of {expected:?}"));
        }
    };
    sees("a role with the capability", Ok(4));
    let changes = [
        (
            "SELECT baton_revoke('seer', 'work', 'seen')",
            "after baton_revoke",
            Err("42501"),
        ),
        (
            "SELECT baton_grant('seer', 'work', 'seen')",
            "after baton_grant",
            Ok(4),
        ),
        ("SELECT task_create('seen')", "after task_create", Ok(5)),
    ];
    for (change, why, expected) in changes {
        stage.primary.psql("postgres", change)?;
        catch_up(&stage.primary, &next)?;
        sees(why, expected);
    }

    // The sessions live on.
    let token: i64 = primary
        .query_one("SELECT last_value FROM baton.token_seq", &[])?
        .get(0);
    drop(primary);
    stage.primary.crash(Crash::Kill)?;
    let all = Instant::now();
    next.promote()?;
    violations.extend(a_life(
        &mut session,
        "SELECT task_create('seen', key => 'after')",
        token,
    ));
    violations.extend(a_life(&mut seer, "SELECT 1", token));
    if session
        .query_one("SELECT pg_backend_pid()", &[])?
        .get::<_, i32>(0)
        != pid
    {
        violations.push("the session is another one".to_owned());
    }
    stage.take_over(next, Keeps::Until(all, all))?;
    let mut played = stage.end(&format!(
        "{reads} functions and views that read, {verbs} that do not"
    ))?;
    played.violations.append(&mut violations);
    Ok(played)
}

/// Each function of the extension that is there to be called, whether it changes something, and a call of it.
fn calls(server: &mut Client) -> Result<Vec<(String, bool, String)>> {
    let number = |server: &mut Client, sql: &str| -> Result<String> {
        Ok(server.query_one(sql, &[])?.get::<_, i64>(0).to_string())
    };
    let known: BTreeMap<&str, String> = [
        (
            "task_id",
            number(
                server,
                "SELECT task_id FROM task_get_by_key('seen', 'seen')",
            )?,
        ),
        (
            "lease_token",
            number(
                server,
                "SELECT lease_token FROM task_get_by_key('seen', 'seen')",
            )?,
        ),
        (
            "run_id",
            number(
                server,
                "SELECT run_id FROM task_list('seen', name => 'one')",
            )?,
        ),
        ("queue", "'seen'".to_owned()),
        ("key", "'seen'".to_owned()),
        ("state", "'completed'".to_owned()),
        ("states", "ARRAY['completed']".to_owned()),
        ("role_name", "'seer'".to_owned()),
        ("capability", "'work'".to_owned()),
    ]
    .into();
    let items = number(
        server,
        "SELECT run_id FROM task_list('seen', name => 'items') LIMIT 1",
    )?;
    let functions = server.query(
        "SELECT p.proname::text, p.provolatile = 'v', coalesce(p.proargnames[:p.pronargs - p.pronargdefaults], '{}'),
            ARRAY(SELECT format_type(type, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, n) WHERE n <= p.pronargs - p.pronargdefaults ORDER BY n)
         FROM pg_extension e JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
         JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND p.pronamespace = e.extnamespace
         WHERE e.extname = 'pg_baton' ORDER BY 1",
        &[],
    )?;
    let mut calls = Vec::new();
    for row in functions {
        let (name, names, types): (String, Vec<String>, Vec<String>) =
            (row.get(0), row.get(2), row.get(3));
        let argument = |(argument, kind): (&String, &String)| {
            Ok(match (name.as_str(), argument.as_str()) {
                ("task_items", "run_id") => items.clone(),
                ("task_items", "name") => "'items'".to_owned(),
                (_, argument) if known.contains_key(argument) => known[argument].clone(),
                _ => match kind.as_str() {
                    "text" => "'seen'".to_owned(),
                    "jsonb" => "'{}'".to_owned(),
                    "interval" => "'1 h'".to_owned(),
                    "bigint" | "integer" => "1".to_owned(),
                    "bigint[]" => "'{1}'".to_owned(),
                    "text[]" | "jsonb[]" => "ARRAY['{}']::jsonb[]::text[]::".to_owned() + kind,
                    _ => anyhow::bail!("{name}: what is a good {kind}?"),
                },
            })
        };
        let arguments: Vec<String> = names
            .iter()
            .zip(&types)
            .map(argument)
            .collect::<Result<_>>()?;
        let call = format!("{name}({})", arguments.join(", "));
        calls.push((name, row.get(1), call));
    }
    calls.push((
        "baton_check".to_owned(),
        false,
        "baton_check(true)".to_owned(),
    ));
    Ok(calls)
}

/// A task's life in this session, which is to work as if it had never been on a standby.
fn a_life(session: &mut Client, create: &str, last_token: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    let life = |session: &mut Client| -> Result<Vec<String>, postgres::Error> {
        session.execute(create, &[])?;
        let lease = session.query_one(
            "SELECT task_id, lease_token FROM task_acquire_lease('seen', 'survivor')",
            &[],
        )?;
        let (task, token): (i64, i64) = (lease.get(0), lease.get(1));
        let mut said = Vec::new();
        if token <= last_token {
            said.push(format!(
                "the token {token} is not greater than {last_token}"
            ));
        }
        let steps = [
            ("started", "SELECT outcome FROM task_start($1, $2)"),
            (
                "extended",
                "SELECT outcome FROM task_heartbeat($1, $2, '2 h')",
            ),
            (
                "appended",
                "SELECT outcome FROM task_append_event($1, 'progress', '{}', $2)",
            ),
            (
                "finalized",
                "SELECT outcome FROM task_finalize($1, $2, 'completed')",
            ),
            (
                "already_finalized",
                "SELECT outcome FROM task_finalize($1, $2, 'completed')",
            ),
            (
                "completed",
                "SELECT state FROM task_get($1) WHERE $2::bigint > 0",
            ),
        ];
        for (expected, step) in steps {
            let outcome: String = session.query_one(step, &[&task, &token])?.get(0);
            if outcome != expected {
                said.push(format!("{step} answers {outcome}"));
            }
        }
        Ok(said)
    };
    match life(session) {
        Ok(said) => wrong.extend(said),
        Err(error) => wrong.push(format!("a session that was on the standby: {error:?}")),
    }
    wrong
}

/// What came of transactions that read on a standby.
#[derive(Default)]
struct Readers {
    read: AtomicUsize,
    /// Told 40001.
    lost: AtomicUsize,
    wrong: Mutex<Vec<String>>,
    enough: AtomicBool,
}

/// What the primary removes, a standby's readers may still need; without feedback and with little patience for them they lose. They are told
/// 40001 and nothing else, and a transaction sees one moment.
fn conflicts(setting: &Setting) -> Result<Played> {
    let mut stage = Stage::new(setting, |client| client % 2 == 1)?;
    let hasty = [
        ("max_standby_streaming_delay", "200ms"),
        ("hot_standby_feedback", "off"),
    ];
    let next = standby(&stage.primary, NAMES[1], &hasty)?;
    let readers = Arc::new(Readers::default());
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (place, readers) = (next.socket_dir(), Arc::clone(&readers));
            std::thread::spawn(move || readers.work(&place))
        })
        .collect();
    let (wanted, begun) = (setting.times(50, 3), Instant::now());
    let (mut read, mut lost) = (0, 0);
    while (read < wanted || lost < wanted) && begun.elapsed() < PATIENCE {
        stage.primary.psql("postgres", "VACUUM")?;
        stage
            .primary
            .psql("postgres", "REINDEX TABLE CONCURRENTLY baton.task_live")?;
        stage.work(100..300);
        (read, lost) = (readers.read.load(Relaxed), readers.lost.load(Relaxed));
    }
    readers.enough.store(true, Relaxed);
    for thread in threads {
        thread.join().expect("no reader panics");
    }
    ensure!(
        read >= wanted && lost >= wanted,
        "{read} transactions read, {lost} were told 40001: not much was tried"
    );
    let mut played = stage.end(&format!(
        "{read} transactions read on the standby, {lost} were told 40001"
    ))?;
    played
        .violations
        .append(&mut readers.wrong.lock().expect("no reader panics"));
    let log = fs::read_to_string(next.log())?;
    let died = log
        .lines()
        .filter(|line| line.contains("terminated by signal") || line.contains("PANIC:"));
    played.violations.extend(died.map(str::to_owned));
    Ok(played)
}

impl Readers {
    fn work(&self, place: &Path) {
        let (mut server, mut turn) = (None, 0);
        while !self.enough.load(Relaxed) {
            turn += 1;
            // Some have ended before the server's patience has, and some not.
            let pause = Duration::from_millis(if turn % 3 == 0 { 1000 } else { 5 });
            let wrong = match see_twice(&mut server, place, pause) {
                Ok((first, second)) if first == second => {
                    self.read.fetch_add(1, Relaxed);
                    continue;
                }
                // (or the connection was ended between two questions, and nobody heard why)
                Err(error) if error.code().is_none_or(|code| code.code() == "40001") => {
                    self.lost.fetch_add(1, Relaxed);
                    continue;
                }
                Ok(seen) => format!("a transaction saw two moments: {seen:?}"),
                Err(error) => format!("a reader on the standby: {error:?}"),
            };
            self.wrong.lock().expect("no reader panics").push(wrong);
        }
    }
}

/// Reads the same twice in one transaction; connects anew if the server has ended the connection.
fn see_twice(
    server: &mut Option<Client>,
    place: &Path,
    pause: Duration,
) -> Result<(i64, i64), postgres::Error> {
    const LOOK: &str =
        "SELECT (SELECT count(*) FROM task_list()) + (SELECT count(*) FROM baton.queue_stats)";
    if server.as_ref().is_none_or(Client::is_closed) {
        *server = Some(config(place).connect(NoTls)?);
    }
    let server = server.as_mut().expect("it is connected");
    let mut moment = server
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .start()?;
    let first = moment.query_one(LOOK, &[])?.get(0);
    sleep(pause);
    let second = moment.query_one(LOOK, &[])?.get(0);
    moment.commit()?;
    Ok((first, second))
}
