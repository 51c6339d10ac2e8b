//! `cargo bench-sql`: what pg_baton does per second, beside the commit floor of the same run and beside its peers, and what it
//! touches, in exact counts. Each part is measured by itself, prints its tables and writes them into benches/results/.

mod batches;
mod behind;
mod buffers;
mod counts;
mod events;
mod heartbeats;
mod held;
mod latency;
mod lifecycle;
mod peers;
mod purge;
mod report;
mod rounds;
mod slots;
mod steps;
mod storage;

use crate::cluster::Cluster;
use crate::setup::{self, Pg};
use anyhow::{Context, Result, anyhow, bail, ensure};
use held::Held;
use peers::Peer;
use report::Report;
use rounds::why;
use std::cell::{Cell, OnceCell};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Part = (&'static str, fn(&Bench) -> Result<Report>);

/// In the order in which they run.
const PARTS: [Part; 14] = [
    ("lifecycle", lifecycle::measure),
    ("batches", batches::measure),
    ("heartbeats", heartbeats::measure),
    ("events", events::measure),
    ("latency", latency::measure),
    ("wide", steps::beside_plain_tasks),
    ("width", steps::whole),
    ("slots", slots::measure),
    ("buffers", buffers::measure),
    ("storage", storage::measure),
    ("purge", purge::measure),
    ("beside", behind::unready),
    ("finished", behind::finished),
    ("held", held::measure),
];

/// With fsync on, as everything that is not named here is as the server has it.
const SETTINGS: [(&str, &str); 4] = [
    ("shared_buffers", "1GB"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "30min"),
    ("max_connections", "100"),
];
const CLIENTS: usize = 8;
const ROUNDS: usize = 3;
/// The database that the others are copies of.
const TEMPLATE: &str = "with_bench";

pub struct Bench {
    pg: Pg,
    cluster: Cluster,
    quick: bool,
    /// How long a round lasts.
    seconds: u32,
    /// With the database that has their schema and queue, or why there is none.
    peers: OnceCell<Vec<(Peer, Result<String, String>)>>,
    /// The snapshots that are held while other parts run.
    held: Cell<Option<Held>>,
}

pub fn run(args: &[String]) -> Result<()> {
    let mut args = args.iter();
    let mut parts = Vec::new();
    let mut quick = false;
    let mut seconds = None;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--readme" => return report::fill_readme(),
            "--quick" => quick = true,
            "--seconds" => {
                let given = args.next().context("--seconds needs a number")?;
                seconds = Some(given.parse().context("--seconds needs a number")?);
            }
            part if PARTS.iter().any(|(name, _)| *name == part) => parts.push(part),
            other => bail!(
                "{other}: not one of {}",
                PARTS.map(|(name, _)| name).join(", ")
            ),
        }
    }
    let pg = setup::ensure()?;
    setup::install(&pg)?;
    let cluster = Cluster::start(&pg, "bench", &SETTINGS)?;
    let bench = Bench {
        pg,
        cluster,
        quick,
        seconds: seconds.unwrap_or(if quick { 1 } else { 4 }),
        peers: OnceCell::new(),
        held: Cell::new(None),
    };
    bench.cluster.fresh_database(TEMPLATE, "template0")?;
    bench.run_file(TEMPLATE, "setup.sql", &[])?;
    let asked = |part: &str| parts.is_empty() || parts.contains(&part);
    if asked("held") {
        eprintln!("held, its begin …");
        let begun = held::begin(&bench).inspect_err(|error| eprintln!("held: {error:#}"));
        bench.held.set(begun.ok()); // or it begins when its turn comes
    }
    let mut failed = Vec::new();
    for (part, measure) in PARTS.into_iter().filter(|(part, _)| asked(part)) {
        eprintln!("{part} …");
        let begun = Instant::now();
        // One that fails takes nothing with it.
        match measure(&bench) {
            Ok(report) => report.write(part, &bench)?,
            Err(error) => {
                eprintln!("{part}: {error:#}");
                failed.push(part);
            }
        }
        eprintln!("{part}: {} s", begun.elapsed().as_secs());
    }
    report::fill_readme()?;
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

impl Bench {
    /// One number for a quick run, another for a full one.
    fn sized<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    fn file(name: &str) -> PathBuf {
        setup::root().join("benches").join(name)
    }

    /// A fresh database with the extension, a queue `bench` with 1,000 ready tasks, and the rows of the commit floor.
    fn database(&self, name: &str) -> Result<()> {
        self.cluster.fresh_database(name, TEMPLATE)
    }

    /// A database is big with its tasks, and no longer needed.
    fn drop_databases<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Result<()> {
        for name in names {
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            self.psql("postgres", &drop)?;
        }
        Ok(())
    }

    fn psql(&self, db: &str, sql: &str) -> Result<String> {
        self.cluster.psql(db, sql)
    }

    /// One value that psql prints as a number.
    fn number(&self, db: &str, sql: &str) -> Result<f64> {
        let out = self.psql(db, sql)?;
        out.trim().parse().with_context(|| format!("{sql}: {out}"))
    }

    /// Runs a file of benches/ with psql variables.
    fn run_file(&self, db: &str, name: &str, variables: &[(&str, usize)]) -> Result<String> {
        let set: String = variables
            .iter()
            .map(|(name, value)| format!("\\set {name} {value}\n"))
            .collect();
        let script = std::fs::read_to_string(Bench::file(name))?;
        self.psql(db, &(set + &script))
    }

    /// Takes out of the line what every database begins with.
    fn end_tasks(&self, db: &str) -> Result<()> {
        let end = "SELECT queue_pause('bench');
                   SELECT count(*) FROM baton.task_live l, task_cancel(l.task_id);
                   SELECT queue_resume('bench');";
        self.psql(db, end).map(drop)
    }

    /// What a measurement finds is settled: no dead rows, statistics, nothing to be flushed.
    fn settle(&self, db: &str) -> Result<()> {
        self.psql(db, "VACUUM ANALYZE").map(drop)?;
        self.psql(db, "CHECKPOINT").map(drop)
    }

    /// Each peer in a database of its own with that many waiting tasks: its name, or why there is none.
    fn peers(&self, part: &str, waiting: usize) -> Vec<(&Peer, Result<String>)> {
        let prepare = |(number, peer): (usize, Peer)| {
            let template = format!("with_peer{number}");
            let prepared = peer.prepare(&self.cluster, &template);
            (
                peer,
                prepared.map(|()| template).map_err(|error| why(&error)),
            )
        };
        // Once a run; the databases are copies.
        let peers = self
            .peers
            .get_or_init(|| peers::all().into_iter().enumerate().map(prepare).collect());
        let cluster = &self.cluster;
        let fill = |peer: &Peer, template: &str| -> Result<String> {
            let db = format!("{part}_{waiting}_{template}");
            cluster.fresh_database(&db, template)?;
            peer.fill(cluster, &db, waiting)?;
            cluster.psql(&db, "VACUUM ANALYZE; CHECKPOINT")?;
            Ok(db)
        };
        // All at once, for nothing is measured meanwhile.
        std::thread::scope(|scope| {
            let fillings: Vec<_> = peers
                .iter()
                .map(|(peer, prepared)| {
                    let filling = scope.spawn(move || match prepared {
                        Ok(template) => fill(peer, template),
                        Err(why) => Err(anyhow!(why.clone())),
                    });
                    (peer, filling)
                })
                .collect();
            fillings
                .into_iter()
                .map(|(peer, filling)| (peer, filling.join().expect("a fill does not panic")))
                .collect()
        })
    }

    /// A session that holds a snapshot, in a transaction that writes nothing.
    fn hold_snapshot(&self, db: &str) -> Result<Holder> {
        let mut child = Command::new(self.pg.bin("psql"))
            .envs(self.cluster.env())
            .args(["-XAtq", "-d", db])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot run psql")?;
        let stdin = child.stdin.as_mut().expect("stdin is piped");
        stdin.write_all(
            b"BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM pg_class;\n",
        )?;
        stdin.flush()?;
        let holds = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{db}' AND state = 'idle in transaction' AND backend_xmin IS NOT NULL"
        );
        for _ in 0..100 {
            if self.number("postgres", &holds)? > 0.0 {
                return Ok(Holder(child));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("no session holds a snapshot of {db}")
    }
}

/// Holds a snapshot until it is dropped.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
