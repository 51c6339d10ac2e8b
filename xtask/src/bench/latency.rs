//! How long a task waits for an idle worker that polls: from the begin of the create to the answer of the acquire.

use super::Bench;
use super::report::{Cell, Report, Table};
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// A worker that finds nothing for that long has lost a task.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn measure(bench: &Bench) -> Result<Report> {
    let mut report = Report::default();
    let columns = [
        "tasks",
        "p50",
        "p95",
        "max",
        "half the poll interval + 2 ms",
        "p50 / that",
    ];
    let mut table = Table::new("ms from create to acquired", &columns);
    for (poll, tasks) in [(10, bench.sized(100, 500)), (100, bench.sized(40, 150))] {
        let waits = waits(bench, Duration::from_millis(poll), tasks)?;
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share).round() as usize];
        let goal = poll as f64 / 2.0 + 2.0;
        let cells = [tasks as f64, at(0.5), at(0.95), at(1.0), goal].map(Cell::Number);
        table.row(
            format!("one idle worker, polling every {poll} ms"),
            cells.into_iter().chain([Cell::Ratio(at(0.5) / goal)]),
        );
    }
    report.tables.push(table);
    Ok(report)
}

/// Milliseconds, the shortest first.
fn waits(bench: &Bench, poll: Duration, tasks: usize) -> Result<Vec<f64>> {
    let db = "latency";
    bench.database(db)?;
    bench.end_tasks(db)?;
    let config = bench.client_config(db)?;
    let worker = {
        let mut client = config.connect(postgres::NoTls)?;
        std::thread::spawn(move || -> Result<HashMap<i64, Instant>> {
            let acquire = client.prepare(
                "SELECT task_id, lease_token FROM task_acquire_lease('bench', 'worker')",
            )?;
            let finalize =
                client.prepare("SELECT outcome FROM task_finalize($1, $2, 'completed')")?;
            let mut acquired = HashMap::new();
            let mut idle_since = Instant::now();
            while acquired.len() < tasks {
                let row = client.query_opt(&acquire, &[])?;
                let now = Instant::now();
                if let Some(row) = row {
                    let (task_id, token): (i64, i64) = (row.get(0), row.get(1));
                    acquired.insert(task_id, now);
                    client.query_one(&finalize, &[&task_id, &token])?;
                    idle_since = now;
                } else {
                    ensure!(idle_since.elapsed() < PATIENCE, "no task comes");
                    std::thread::sleep(poll);
                }
            }
            Ok(acquired)
        })
    };
    let mut client = config.connect(postgres::NoTls)?;
    let create = client.prepare("SELECT task_id FROM task_create('bench', '{\"k\": 1}')")?;
    let mut created = Vec::new();
    for _ in 0..tasks {
        // At any moment of the interval, with time enough for the worker to become idle again.
        std::thread::sleep(poll.mul_f64(1.5 + random()));
        let begun = Instant::now();
        let row = client.query_one(&create, &[])?;
        created.push((row.get::<_, i64>(0), begun));
    }
    let acquired = worker.join().expect("the worker does not panic")?;
    let mut waits = created
        .into_iter()
        .map(|(task_id, begun)| {
            let acquired = acquired
                .get(&task_id)
                .context("another task was acquired")?;
            Ok(acquired.duration_since(begun).as_secs_f64() * 1000.0)
        })
        .collect::<Result<Vec<f64>>>()?;
    waits.sort_by(f64::total_cmp);
    Ok(waits)
}

/// From 0 to 1: the standard library's own source of different hashes.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
