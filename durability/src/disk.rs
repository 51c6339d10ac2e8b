//! A disk that is full: what fails, what still works, and that all goes on when there is room again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};
use xtask::cluster::{Cluster, Crash};

use crate::half;
use crate::load::{Keeps, Load, PREPARE, Plan};
use crate::volume::{Volumes, with_volumes};
use crate::{Played, Scenario, Setting};

pub const SCENARIOS: &[(&str, Scenario)] = &[
    ("disk full", disk_full),
    ("verbs on a full disk", verbs),
    ("WAL full", wal_full),
];

/// No checkpoint of its own accord: on a full disk it would end the server.
const SERVER: &[(&str, &str)] = &[
    ("checkpoint_timeout", "1h"),
    ("max_wal_size", "1GB"),
    ("max_connections", "40"),
];
const PATIENCE: Duration = Duration::from_secs(60);

/// So often somebody was told that the disk is full.
static TOLD: AtomicUsize = AtomicUsize::new(0);

pub fn connect(cluster: &Cluster) -> Result<Client> {
    let mut config = Config::new();
    config
        .host_path(cluster.socket_dir())
        .user("postgres")
        .dbname("postgres")
        .connect_timeout(Duration::from_secs(2));
    config.connect(NoTls).context("no server")
}

/// A load on a server that is there already; every other client does not wait for the disk.
pub fn load(setting: &Setting, cluster: &Cluster) -> Result<Load> {
    cluster.psql("postgres", "CREATE EXTENSION pg_baton")?;
    cluster.psql("postgres", PREPARE)?;
    let place = cluster.socket_dir();
    let plan = Plan {
        clients: 6,
        seed: setting.seed,
        unflushed: |client| client % 2 == 1,
        tolerated: |code| {
            let full = *code == SqlState::DISK_FULL;
            TOLD.fetch_add(usize::from(full), Ordering::Relaxed);
            // What a disk says that is no longer there.
            full || *code == SqlState::IO_ERROR
        },
    };
    let reach = move |_| {
        let mut config = Config::new();
        config
            .host_path(&place)
            .user("postgres")
            .dbname("postgres")
            .connect_timeout(Duration::from_secs(2));
        config.connect(NoTls).ok()
    };
    Ok(Load::start(plan, Box::new(reach)))
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<Duration> {
    let begun = Instant::now();
    while !is_so() {
        ensure!(begun.elapsed() < PATIENCE, "it takes too long until {what}");
        sleep(Duration::from_millis(5));
    }
    Ok(begun.elapsed())
}

/// All is as it should be, and what is left is brought to its end.
pub fn end(mut load: Load, cluster: &Cluster, what: String) -> Result<Played> {
    let mut server = connect(cluster)?;
    load.drain(&mut server, PATIENCE)?;
    let mut ledger = load.ledger();
    ledger.check(&mut server)?;
    let (answers, unknown) = ledger.counts();
    Ok(Played {
        what: format!("{what}; {answers} calls answered, {unknown} not"),
        violations: ledger.violations().to_vec(),
    })
}

/// How many of some calls succeed; the others must say that the disk is full.
fn tried(server: &mut Client, calls: &[String]) -> Result<String> {
    let mut done = 0;
    for call in calls {
        match server.simple_query(call) {
            Ok(_) => done += 1,
            Err(error) => ensure!(
                error.code() == Some(&SqlState::DISK_FULL),
                "{call}: {error}"
            ),
        }
    }
    Ok(format!("{done} of {}", calls.len()))
}

/// The load fills the disk. Reads go on; who ends what he has done may be lucky; nothing is lost, and with room again all goes on by itself.
fn disk_full(setting: &Setting) -> Result<Played> {
    let Some(volumes) = Volumes::given() else {
        return with_volumes(setting, "disk", "disk full");
    };
    let mut cluster = setting.cluster("disk", SERVER)?;
    volumes.move_in(&mut cluster)?;
    let load = load(setting, &cluster)?;
    let mut server = connect(&cluster)?;
    server.batch_execute(
        "SELECT queue_create('mine', lease_ttl => '1 hour'); SELECT queue_create('old'), queue_create('more');
         SELECT count(*) FROM task_create_many('mine', (SELECT array_agg('{}'::jsonb) FROM generate_series(1, 100)));
         SELECT count(*) FROM task_create_many('old', (SELECT array_agg(jsonb_build_object('text', repeat('x', 2000))) FROM generate_series(1, 1000)));
         SELECT count(*) FROM task_acquire_lease('old', 'w', max_tasks => 1000) l, task_finalize(l.task_id, l.lease_token, 'completed')",
    )?;
    let leases: Vec<(i64, i64)> = server
        .query(
            "SELECT task_id, lease_token FROM task_acquire_lease('mine', 'w', max_tasks => 100)",
            &[],
        )?
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let calls = |call: fn(i64, i64) -> String| -> Vec<String> {
        leases
            .iter()
            .map(|(task, token)| call(*task, *token))
            .collect()
    };
    let since = "SELECT pg_postmaster_start_time()::text";
    let started: String = server.query_one(since, &[])?.get(0);

    sleep(Duration::from_millis(500));
    volumes.data.fill(2 << 20)?;
    wait_until("the load has filled the disk", || {
        TOLD.load(Ordering::Relaxed) >= 50
    })?;
    let reads = "SELECT count(*) FROM task_list('mine') t, task_get(t.task_id), task_events(t.task_id)
                 UNION ALL SELECT count(*) FROM baton.queue_stats UNION ALL SELECT count(*) FROM baton_check(true)";
    server
        .batch_execute(reads)
        .context("reads while the disk is full")?;
    let heartbeats = tried(
        &mut server,
        &calls(|task, token| format!("SELECT task_heartbeat({task}, {token}, '2 hours')")),
    )?;
    let created = tried(
        &mut server,
        &calls(|_, _| "SELECT task_create('more')".to_owned()),
    )?;
    let finalize =
        calls(|task, token| format!("SELECT task_finalize({task}, {token}, 'completed')"));
    let ends = tried(&mut server, &finalize)?;
    let purged: i64 = server
        .query_one("SELECT tasks FROM baton_purge('0', queue => 'old')", &[])
        .context("a purge while the disk is full")?
        .get(0);
    ensure!(purged == 1000, "purged {purged}");
    load.hold();
    let told = TOLD.load(Ordering::Relaxed);
    volumes.data.give_back()?;
    load.go_on();
    let answers = load.ledger().counts().0;
    let pause = wait_until("the load goes on", || {
        load.ledger().counts().0 > answers + 20
    })?;
    let begun: String = server.query_one(since, &[])?.get(0);
    ensure!(begun == started, "the server has restarted");
    for call in finalize {
        server.batch_execute(&call)?;
    }
    server
        .batch_execute("SELECT task_cancel(task_id) FROM task_list('more', max_tasks => 1000)")?;
    sleep(Duration::from_millis(500));
    load.hold();
    let now = Instant::now();
    load.ledger().settle(&mut server, Keeps::Until(now, now))?;
    let what = format!(
        "53100 answered {told} times; while it was full, {heartbeats} heartbeats, {ends} ends, {created} new tasks; on again after {} ms",
        pause.as_millis()
    );
    end(load, &cluster, what)
}

/// Every verb, with so many blocks left on the disk.
fn verbs(setting: &Setting) -> Result<Played> {
    let Some(volumes) = Volumes::given() else {
        return with_volumes(setting, "disk", "verbs on a full disk");
    };
    let mut cluster = setting.cluster(
        "disk",
        &[SERVER, &[("autovacuum", "off"), ("fsync", "off")]].concat(),
    )?;
    volumes.move_in(&mut cluster)?;
    volumes.data.shrink(200 << 20)?;
    let blocks: &[u64] = if setting.quick {
        &[0, 40]
    } else {
        &[0, 1, 2, 5, 13, 34, 89, 233, 610]
    };
    half::on_a_full_disk(&cluster, &volumes.data, blocks, !setting.quick)
}

/// The WAL's disk is full: the server stops, and is there again when there is room.
fn wal_full(setting: &Setting) -> Result<Played> {
    let Some(volumes) = Volumes::given() else {
        return with_volumes(setting, "disk", "WAL full");
    };
    let mut cluster = setting.cluster("disk", &[SERVER, &[("min_wal_size", "32MB")]].concat())?;
    volumes.move_in(&mut cluster)?;
    let load = load(setting, &cluster)?;
    let mut times = Vec::new();
    for _ in 0..setting.times(5, 1) {
        sleep(Duration::from_millis(500));
        volumes.wal.fill(0)?;
        // Somebody writes much.
        let mut server = connect(&cluster)?;
        let much = "SELECT pg_logical_emit_message(false, '', repeat('x', 4000000))";
        wait_until("the server stops", || {
            let _ = server.batch_execute(much); // until it cannot
            let log = std::fs::read_to_string(cluster.log()).unwrap_or_default();
            log.matches("PANIC").count() > times.len() && connect(&cluster).is_err()
        })?;
        load.hold();
        volumes.wal.give_back()?;
        cluster.crash(Crash::Kill)?;
        let begun = Instant::now();
        cluster.recover()?;
        let mut server = connect(&cluster)?;
        server.batch_execute("SELECT task_acquire_lease('default', 'probe')")?;
        times.push(format!("{} ms", begun.elapsed().as_millis()));
        load.ledger().settle(&mut server, Keeps::Durable)?;
        load.go_on();
    }
    sleep(Duration::from_millis(500));
    load.hold();
    load.ledger()
        .settle(&mut connect(&cluster)?, Keeps::Durable)?;
    end(
        load,
        &cluster,
        format!(
            "the server stopped {} times; an acquire was answered {} after its start",
            times.len(),
            times.join(", ")
        ),
    )
}
