//! Buffers touched by one acquire, whatever lies beside the line: exact, where times are noisy.

use super::Bench;
use super::report::{Cell, Report, Table};
use super::rounds::Load;
use anyhow::Result;

pub fn measure(bench: &Bench) -> Result<Report> {
    let db = "acquires";
    let mut table = Table::new("buffers of an acquire, exact", &["buffers", "/ alone"]);
    bench.database(db)?;
    let acquire = || -> Result<f64> {
        Ok(bench
            .count_verbs(db, "task_create('bench', '{\"k\": 1}')")?
            .buffers[1])
    };
    let alone = acquire()?;
    let mut row = |name: &str, buffers: f64| {
        table.row(name, [Cell::Number(buffers), Cell::Ratio(buffers / alone)]);
    };
    row("1,000 ready tasks", alone);
    bench.run_file(db, "ballast.sql", &[])?;
    row(
        "and 1,000,000 finished, 1,000,000 scheduled, 1,000,000 blocked, 10,000 leased",
        acquire()?,
    );
    let holder = bench.hold_snapshot(db)?;
    bench.pgbench(&Load::ours("", db, "lifecycle.pgb"), &["-t", "2500"])?;
    row(
        "and a held snapshot, with 20,000 lives under it",
        acquire()?,
    );
    drop(holder);
    bench.drop_databases([&db.to_owned()])?;
    Ok(Report {
        tables: vec![table],
        ..Report::default()
    })
}
