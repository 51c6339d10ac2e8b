//! A snapshot that another session holds, while tasks are worked off: nobody's dead rows go away. Every product is held in its own
//! database at the same time, and works in turn.

use super::counts::{Life, Verbs};
use super::report::{Cell, Chart, Report, Table};
use super::rounds::{Load, Measured, Spread, why};
use super::{Bench, CLIENTS, Holder};
use anyhow::Result;
use std::time::{Duration, Instant};

/// One of those that are held: its rates, and what a life of it touched before and at the end.
struct Subject {
    load: Load,
    clean: Vec<f64>,
    held: Vec<f64>,
    lives: Vec<Life>,
    failed: Option<String>,
}

/// A hold that has begun. In a run of several parts it begins before the others and ends after them, so that nobody waits for it.
pub struct Held {
    subjects: Vec<Subject>,
    missing: Vec<Measured>,
    clean_verbs: Verbs,
    holders: Vec<Holder>,
    begun: Instant,
}

const OURS: &str = "held_ours";
/// Few, for a life under a held snapshot may touch thousands of buffers.
const LIVES: usize = 200;

/// Measures everybody clean, and takes the snapshots.
pub fn begin(bench: &Bench) -> Result<Held> {
    for db in ["held_floor", OURS] {
        bench.database(db)?;
        bench.settle(db)?;
    }
    let mut loads = vec![
        Load::ours("commit floor, not held", "held_floor", "commit_floor.pgb"),
        Load::ours("pg_baton", OURS, "lifecycle.pgb"),
    ];
    let mut missing = Vec::new();
    for (peer, prepared) in bench.peers("held", 1_000) {
        match prepared {
            Ok(db) => loads.push(Load::of_peer(peer, &db, &peer.lifecycle)),
            Err(error) => missing.push(Measured::failed(peer.name, &error)),
        }
    }
    let subject = |load| Subject {
        load,
        clean: Vec::new(),
        held: Vec::new(),
        lives: Vec::new(),
        failed: None,
    };
    let mut subjects: Vec<Subject> = loads.into_iter().map(subject).collect();
    each(&mut subjects, |subject| {
        bench.pgbench(&subject.load, &["-T", "1"]).map(drop) // warms up
    })?;
    each(&mut subjects, |subject| {
        keep(&mut subject.clean, burst(bench, &subject.load))
    })?;
    let clean_verbs = count(bench, &mut subjects)?;
    let hold = |subject: &Subject| bench.hold_snapshot(&subject.load.db);
    let mut held = Held {
        // The commit floor is not held: it tells how the machine's speed drifts.
        holders: subjects[1..].iter().map(hold).collect::<Result<_>>()?,
        begun: Instant::now(),
        subjects,
        missing,
        clean_verbs,
    };
    held.work(bench)?;
    Ok(held)
}

impl Held {
    /// A burst each.
    fn work(&mut self, bench: &Bench) -> Result<()> {
        each(&mut self.subjects, |subject| {
            keep(&mut subject.held, burst(bench, &subject.load))
        })
    }
}

pub fn measure(bench: &Bench) -> Result<Report> {
    let mut held = match bench.held.take() {
        Some(held) => held,
        None => begin(bench)?,
    };
    let hold = Duration::from_secs(bench.sized(20, 600));
    let bursts = bench.sized(4, 6);
    while held.begun.elapsed() < hold || held.subjects[0].held.len() < bursts {
        held.work(bench)?;
    }
    let held_for = held.begun.elapsed().as_secs();
    let Held {
        mut subjects,
        missing,
        clean_verbs,
        holders,
        ..
    } = held;
    let held_verbs = count(bench, &mut subjects)?;
    drop(holders);
    let dbs: Vec<String> = subjects
        .iter()
        .map(|subject| subject.load.db.clone())
        .collect();
    for db in &dbs {
        bench.settle(db)?;
    }
    each(&mut subjects, |subject| {
        keep(&mut subject.clean, burst(bench, &subject.load))
    })?;

    let mut report = Report::default();
    let columns = [
        "clean before",
        "held, first",
        "held, last",
        "clean after",
        "last / clean",
    ];
    let title = format!("lifecycles/s, {CLIENTS} clients, held for {held_for} s");
    let mut rates = Table::new(title, &columns);
    let columns = [
        "buffers, clean",
        "buffers, held",
        "held / clean",
        "WAL bytes, clean",
        "WAL bytes, held",
        "WAL held / clean",
    ];
    let mut touched = Table::new("what a life touches, 1 client", &columns);
    let mut bars = Vec::new();
    for Subject {
        load,
        clean,
        held,
        lives,
        failed,
    } in &subjects
    {
        if let Some(why) = failed {
            rates.row(load.name.clone(), [Cell::text(why)]);
            continue;
        }
        let usual = (clean[0] + clean[1]) / 2.0;
        let last = held[held.len() - 1];
        let floor = &subjects[0];
        let drift = 2.0 * floor.held[floor.held.len() - 1] / (floor.clean[0] + floor.clean[1]);
        let shown = [clean[0], held[0], last, clean[1]].map(|rate| Cell::Number(rate.round()));
        rates.row(
            load.name.clone(),
            shown.into_iter().chain([Cell::Ratio(last / usual / drift)]),
        );
        let grown = |count: fn(&Life) -> f64| {
            let [clean, held] = [count(&lives[0]), count(&lives[1])];
            [
                Cell::Number(clean.round()),
                Cell::Number(held.round()),
                Cell::quotient(held, clean),
            ]
        };
        touched.row(
            load.name.clone(),
            grown(|life| life.buffers)
                .into_iter()
                .chain(grown(|life| life.wal)),
        );
        bars.push((load.name.clone(), Spread::of(held), usual));
    }
    for Measured { name, rate } in missing {
        rates.row(name, [Cell::text(rate.err().unwrap_or_default())]);
    }
    report.tables.extend([rates, touched]);
    report.tables.push(verbs(&clean_verbs, &held_verbs));
    report.note(format!(
        "Each works in turn for {} s, {} times under the snapshot. Last / clean is as if the commit floor, which is not held, had \
         not changed meanwhile. What a life touches is counted over {LIVES} lives.",
        bench.seconds, subjects[0].held.len()
    ));
    let floor = bars.first().map_or(1.0, |(.., usual)| *usual);
    report.chart = Some(Chart {
        title: format!(
            "lifecycles/s under a snapshot held for {held_for} s (its median, worst and best), as shares of the clean commit floor"
        ),
        bars: bars
            .into_iter()
            .map(|(name, held, _)| (name, held.times(1.0 / floor)))
            .collect(),
    });
    bench.drop_databases(&dbs)?;
    Ok(report)
}

/// What a burst gets done per second.
fn burst(bench: &Bench, load: &Load) -> Result<f64> {
    bench.pgbench(load, &["-T", &bench.seconds.to_string()])
}

/// What everybody's life touches now, and what our verbs do.
fn count(bench: &Bench, subjects: &mut [Subject]) -> Result<Verbs> {
    bench.without_noise(|| {
        each(subjects, |subject| {
            keep(&mut subject.lives, bench.count_life(&subject.load, LIVES))
        })
    })?;
    bench.count_verbs(OURS, "task_create('bench', '{\"k\": 1}')")
}

/// Does the same with all that have not failed; only our own failure is an error.
fn each(subjects: &mut [Subject], mut work: impl FnMut(&mut Subject) -> Result<()>) -> Result<()> {
    for subject in subjects
        .iter_mut()
        .filter(|subject| subject.failed.is_none())
    {
        match work(subject) {
            Err(error) if subject.load.may_fail => subject.failed = Some(why(&error)),
            done => done?,
        }
    }
    Ok(())
}

fn keep<T>(values: &mut Vec<T>, value: Result<T>) -> Result<()> {
    values.push(value?);
    Ok(())
}

/// pg_baton's verbs, clean and at the end of the hold.
fn verbs(clean: &Verbs, held: &Verbs) -> Table {
    let columns = ["create", "acquire", "finalize", "held / clean"];
    let mut table = Table::new("pg_baton, exact counts of the verbs", &columns);
    let mut rows = |what: &str, clean: [f64; 3], held: [f64; 3]| {
        let sum = |counts: [f64; 3]| counts.iter().sum::<f64>();
        let numbers = |counts: [f64; 3]| counts.into_iter().map(Cell::Number);
        table.row(
            format!("{what}, clean"),
            numbers(clean).chain([Cell::Ratio(1.0)]),
        );
        table.row(
            format!("{what}, held"),
            numbers(held).chain([Cell::quotient(sum(held), sum(clean))]),
        );
    };
    rows("buffers", clean.buffers, held.buffers);
    rows("WAL bytes", clean.wal, held.wal);
    if let (Some(clean), Some(held)) = (clean.statements, held.statements) {
        rows(
            "statements inside",
            clean.map(|count| count as f64),
            held.map(|count| count as f64),
        );
    }
    table
}
