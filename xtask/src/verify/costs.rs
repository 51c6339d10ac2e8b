//! What the hot functions cost, in counts that are the same in every run, where times are noisy: buffers touched, bytes of WAL, statements
//! run inside. They are held against those that were kept (tests/costs/kept.txt), and against those of the same calls with many tasks
//! beside and under a held snapshot: a plan that went wrong, or a floor that was lost, costs hundreds of buffers there.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Deserializer, Value};

use super::tally::Tally;
use crate::cluster::Cluster;
use crate::setup::{self, Pg, output};

/// Each call is made so often, each time on tasks of its own. The first ones make plans and fill caches; of the others the median counts.
const TIMES: usize = 15;
const WARM: usize = 5;

/// Lived under the held snapshot: each leaves dead entries in the lines.
const LIVES: &str = "2000";

/// The share of heartbeats that are heap-only updates.
const HOT: f64 = 0.95;

/// The lifecycles beside those of the commit floor. Times are noisy: this is far below what is reached, and one of a few tries has to reach it.
const OF_FLOOR: f64 = 0.25;
const TRIES: usize = 3;

/// What is written in its own time (by autovacuum, after a checkpoint, for standbys) is not written: the same call costs the same.
const SERVER: [(&str, &str); 7] = [
    ("autovacuum", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "1h"),
    ("shared_buffers", "256MB"),
];

/// Counts statements exactly, those in functions too. It is the server's own, but may be in a package that is not installed.
const COUNTER: &str = "pg_stat_statements";

const COUNTS: [&str; 3] = ["buffers", "bytes of WAL", "statements"];
type Counts = [u64; 3];

/// By the name of the call.
type Costs = BTreeMap<String, Counts>;

/// By how many a count may be more, however small it is. One statement more is too many.
const ROOM: Counts = [2, 16, 0];

/// How many times as much it may be: as what was kept, maybe with another version of the server,
fn of_kept(_: &str) -> [f64; 3] {
    [1.15, 1.15, 1.0]
}

/// or as in a database with little in it. (Under a held snapshot dead versions fill the pages, and fewer heartbeats of a batch are heap-only.)
fn of_clean(name: &str) -> [f64; 3] {
    match name {
        "task_heartbeat_many of 100" => [1.5, 1.5, 1.0],
        _ => [1.1, 1.1, 1.0],
    }
}

pub fn run(pg: &Pg, out: &Path, bless: bool, tally: &mut Tally) -> Result<()> {
    let begun = Instant::now();
    let bench = Bench::start(pg, out)?;
    bench.floor(begun, tally)?;

    // From here on a flush only costs time.
    let begun = Instant::now();
    let no_flush = "ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();";
    bench.cluster.psql("postgres", no_flush)?;
    let clean = bench.costs("clean")?;
    if bless {
        ensure!(
            bench.counts == 3,
            "{COUNTER} is not installed, and statements are kept too"
        );
        write(&kept(), &clean)?;
    }
    conclude(tally, "costs", &clean, bench.beside_kept(&clean)?, begun);

    let begun = Instant::now();
    bench.script("beside", &file("beside.sql"))?;
    let beside = bench.costs("beside")?;
    let complaints = bench.too_much(&beside, &clean, of_clean, "without them");
    conclude(
        tally,
        "costs with 100,000 tasks beside",
        &beside,
        complaints,
        begun,
    );

    let begun = Instant::now();
    let holder = bench.hold_snapshot("held")?;
    bench.pgbench("held", "lifecycle.pgb", &["-t", LIVES])?;
    let held = bench.costs("held")?;
    release(holder)?;
    let complaints = bench.too_much(&held, &clean, of_clean, "without it");
    conclude(
        tally,
        "costs under a held snapshot",
        &held,
        complaints,
        begun,
    );

    bench.heartbeats(tally)
}

/// Calls that cost what they should count one by one; those that do not are one failure.
fn conclude(tally: &mut Tally, what: &str, costs: &Costs, complaints: Vec<String>, begun: Instant) {
    if complaints.is_empty() {
        tally.passed_many(costs.len() - 1);
        tally.passed(&format!("{what}: {} calls", costs.len()), begun.elapsed());
    } else {
        tally.failed(what, &complaints.join("\n"));
    }
}

struct Bench<'a> {
    pg: &'a Pg,
    out: &'a Path,
    cluster: Cluster,
    /// How many of the counts there are: all, or all but the statements.
    counts: usize,
}

impl<'a> Bench<'a> {
    /// A server of its own, with a database for each state.
    fn start(pg: &'a Pg, out: &'a Path) -> Result<Self> {
        let mut conf = SERVER.to_vec();
        let counter = format!("extension/{COUNTER}.control");
        let counts = if pg.sharedir.join(counter).is_file() {
            3
        } else {
            2
        };
        if counts == 3 {
            conf.extend([
                ("shared_preload_libraries", COUNTER),
                ("pg_stat_statements.track", "none"),
                ("pg_stat_statements.track_utility", "off"),
            ]);
        } else {
            println!("    left out, {COUNTER} is not installed: statements");
        }
        let cluster = Cluster::start(pg, "costs", &conf)?;
        let bench = Bench {
            pg,
            out,
            cluster,
            counts,
        };
        bench.cluster.psql("postgres", "CREATE DATABASE clean;")?;
        bench.script("clean", &setup::root().join("benches/setup.sql"))?;
        // Something is finished in any case: in an empty index there is nothing to look at.
        let finished = "SELECT count(*) FROM task_create_many('bench', array_fill('{}'::jsonb, '{1000}')) t, task_cancel(t.task_id); VACUUM ANALYZE;";
        bench.cluster.psql("clean", finished)?;
        if counts == 3 {
            bench
                .cluster
                .psql("clean", &format!("CREATE EXTENSION {COUNTER}"))?;
        }
        for state in ["beside", "held", "heartbeats", "floor"] {
            bench.cluster.fresh_database(state, "clean")?;
        }
        Ok(bench)
    }

    fn script(&self, db: &str, path: &Path) -> Result<String> {
        self.cluster.psql(db, &fs::read_to_string(path)?)
    }

    /// Makes all calls in one session, and counts.
    fn costs(&self, db: &str) -> Result<Costs> {
        let (counter, statements) = match self.counts {
            3 => (
                "SET pg_stat_statements.track = 'all';\n",
                "(SELECT coalesce(sum(calls), 0) FROM pg_stat_statements(false))",
            ),
            _ => ("", "0"),
        };
        let look = format!(
            "SELECT json_build_array(pg_current_wal_insert_lsn() - '0/0', {statements});\n"
        );
        let explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF, FORMAT JSON) ";

        let text = fs::read_to_string(file("calls.sql"))?;
        let (definitions, blocks) = text
            .trim_end()
            .split_once("\n\n")
            .context("calls.sql has no blocks")?;
        let read = |block| call_in(block).with_context(|| format!("not a call:\n{block}"));
        let calls: Vec<_> = blocks.split("\n\n").map(read).collect::<Result<_>>()?;
        let mut script = format!("{definitions}\n{counter}");
        for (_, _, before, call) in &calls {
            for n in 0..TIMES {
                writeln!(
                    script,
                    "\\set call {}\n{before}\n{look}{explain}{call}\n{look}",
                    100 + n
                )?;
            }
        }

        let printed = self.cluster.psql(db, &script)?;
        let values: Vec<Value> = Deserializer::from_str(&printed)
            .into_iter()
            .collect::<Result<_, _>>()?;
        ensure!(
            values.len() == calls.len() * TIMES * 3,
            "{} values of {} calls",
            values.len(),
            calls.len()
        );
        let mut costs = Costs::new();
        for ((name, rows, ..), values) in calls.iter().zip(values.chunks(TIMES * 3)) {
            let counts: Result<Vec<Counts>> =
                values.chunks(3).map(|one| counts_of(one, *rows)).collect();
            let counts = counts.with_context(|| name.to_string())?;
            costs.insert(
                name.to_string(),
                [0, 1, 2].map(|i| median(counts[WARM..].iter().map(|c| c[i]))),
            );
        }
        let [.., counting] = costs
            .remove("nothing")
            .context("calls.sql has no call of nothing")?;
        for [.., statements] in costs.values_mut() {
            *statements -= counting;
        }
        write(&self.out.join(format!("costs-{db}.txt")), &costs)?;
        Ok(costs)
    }

    /// What costs more than it may beside others.
    fn too_much(
        &self,
        costs: &Costs,
        others: &Costs,
        times: fn(&str) -> [f64; 3],
        of: &str,
    ) -> Vec<String> {
        let mut complaints = Vec::new();
        for (name, counts) in costs {
            let Some(other) = others.get(name) else {
                continue;
            };
            for i in 0..self.counts {
                let allowed = (other[i] + ROOM[i]).max((other[i] as f64 * times(name)[i]) as u64);
                if counts[i] > allowed {
                    complaints.push(format!(
                        "{name}: {} {}, {allowed} allowed, {} {of}",
                        counts[i], COUNTS[i], other[i]
                    ));
                }
            }
        }
        complaints
    }

    /// Too much, or so much less than what was kept that it guards nothing any more.
    fn beside_kept(&self, costs: &Costs) -> Result<Vec<String>> {
        let kept = read(&kept())?;
        let mut complaints = self.too_much(costs, &kept, of_kept, "kept");
        for name in costs.keys().filter(|name| !kept.contains_key(*name)) {
            complaints.push(format!("{name}: nothing is kept"));
        }
        for (name, kept) in &kept {
            match costs.get(name) {
                None => complaints.push(format!("{name}: kept, but not called")),
                Some(counts) => {
                    complaints.extend((0..self.counts).filter(|i| counts[*i] * 2 < kept[*i]).map(
                        |i| {
                            format!(
                                "{name}: {} {}, less than half of the {} kept",
                                counts[i], COUNTS[i], kept[i]
                            )
                        },
                    ))
                }
            }
        }
        if !complaints.is_empty() {
            complaints.push(String::from(
                "If that is right, `cargo verify -- --only costs --bless` keeps it.",
            ));
        }
        Ok(complaints)
    }

    /// While no snapshot is held, a heartbeat touches no index.
    fn heartbeats(&self, tally: &mut Tally) -> Result<()> {
        let begun = Instant::now();
        let printed = self.script("heartbeats", &file("heartbeats.sql"))?;
        let (all, hot) = printed
            .split_once('|')
            .context("heartbeats.sql prints two numbers")?;
        let (all, hot): (f64, f64) = (all.parse()?, hot.parse()?);
        let what = format!("costs: {hot} of {all} heartbeats are heap-only updates");
        if hot >= all * HOT && all > 0.0 {
            tally.passed(&what, begun.elapsed());
        } else {
            tally.failed(&what, &format!("{HOT} of them should be"));
        }
        Ok(())
    }

    /// The one look at times.
    fn floor(&self, begun: Instant, tally: &mut Tally) -> Result<()> {
        let mut shares = Vec::new();
        for _ in 0..TRIES {
            let rate = |script| self.pgbench("floor", script, &["-c", "8", "-j", "2", "-T", "3"]);
            let floor = rate("commit_floor.pgb")?;
            let share = rate("lifecycle.pgb")? / floor;
            shares.push(format!("{share:.2}"));
            if share >= OF_FLOOR {
                tally.passed(
                    &format!("costs: {share:.2} of the commit floor"),
                    begun.elapsed(),
                );
                return Ok(());
            }
        }
        tally.failed(
            "costs: a share of the commit floor",
            &format!(
                "{}; once at least {OF_FLOOR} is expected",
                shares.join(", ")
            ),
        );
        Ok(())
    }

    /// Transactions (whole scripts) per second.
    fn pgbench(&self, db: &str, script: &str, how_much: &[&str]) -> Result<f64> {
        let mut pgbench = Command::new(self.pg.bin("pgbench"));
        pgbench
            .envs(self.cluster.env())
            .args(["-n", "-M", "prepared"])
            .args(how_much);
        let printed = output(
            pgbench
                .arg("-f")
                .arg(setup::root().join("benches").join(script))
                .arg(db),
        )?;
        let rate = printed
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
        Ok(rate.context("pgbench printed no rate")?.parse()?)
    }

    /// A session that holds a snapshot, in a transaction that writes nothing.
    fn hold_snapshot(&self, db: &str) -> Result<Child> {
        let mut holder = Command::new(self.pg.bin("psql"))
            .envs(self.cluster.env())
            .args(["-XAtq", "-d", db])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run psql")?;
        let stdin = holder.stdin.as_mut().expect("stdin is piped");
        stdin.write_all(b"BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT 'held';\n")?;
        let mut answer = String::new();
        BufReader::new(holder.stdout.as_mut().expect("stdout is piped")).read_line(&mut answer)?;
        ensure!(answer == "held\n", "no snapshot is held");
        Ok(holder)
    }
}

fn release(mut holder: Child) -> Result<()> {
    drop(holder.stdin.take());
    holder.wait()?;
    Ok(())
}

/// A block of calls.sql: the name, how many rows, what goes before, and the call.
fn call_in(block: &str) -> Option<(&str, u64, &str, &str)> {
    let (before, call) = block.rsplit_once('\n')?;
    let (name, rows) = before
        .lines()
        .next()?
        .strip_prefix("-- ")?
        .split_once(": ")?;
    Some((name, rows.parse().ok()?, before, call))
}

/// Of a look, the plan of a call, and another look.
fn counts_of(values: &[Value], rows: u64) -> Result<Counts> {
    let [before, plan, after] = values else {
        unreachable!("three values a call")
    };
    let plan = &plan[0]["Plan"];
    ensure!(
        plan["Actual Rows"].as_f64() == Some(rows as f64),
        "it answered {} rows, not {rows}",
        plan["Actual Rows"]
    );
    let number = |value: &Value| {
        value
            .as_u64()
            .with_context(|| format!("{value} is no count"))
    };
    // Where a page of the WAL ends is chance: their headers are left out.
    let written = |look: &Value| number(&look[0]).map(|end| end - end / 8192 * 24);
    Ok([
        number(&plan["Shared Hit Blocks"])? + number(&plan["Shared Read Blocks"])?,
        written(after)? - written(before)?,
        number(&after[1])? - number(&before[1])?,
    ])
}

fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut sorted: Vec<u64> = values.collect();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

fn file(name: &str) -> PathBuf {
    setup::root().join("tests/costs").join(name)
}

fn kept() -> PathBuf {
    file("kept.txt")
}

/// A table: a heading, then a line for each call. There may be none yet.
fn read(path: &Path) -> Result<Costs> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut costs = Costs::new();
    for line in text.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, counts) = words
            .split_last_chunk::<3>()
            .with_context(|| format!("no counts: {line}"))?;
        let [a, b, c] = counts.map(str::parse);
        costs.insert(name.join(" "), [a?, b?, c?]);
    }
    Ok(costs)
}

fn write(path: &Path, costs: &Costs) -> Result<()> {
    let line =
        |name: &str, [a, b, c]: [&dyn Display; 3]| format!("{name:<26}{a:>8}{b:>14}{c:>12}\n");
    let [a, b, c] = &COUNTS;
    let mut table = line("call", [a, b, c]);
    for (name, [a, b, c]) in costs {
        table += &line(name, [a, b, c]);
    }
    fs::write(path, table).with_context(|| format!("cannot write {}", path.display()))
}
