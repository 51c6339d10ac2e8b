//! What lies in the tables besides the line that is worked off: finished tasks, and tasks that nobody may have yet. A task's life
//! should cost the same with them and without.

use super::report::{Cell, Chart, Report, Table};
use super::rounds::Load;
use super::{Bench, CLIENTS};
use anyhow::Result;

/// Finished tasks behind.
pub fn finished(bench: &Bench) -> Result<Report> {
    let tasks = bench.sized(1_000_000, 10_000_000);
    let name = format!("{} finished tasks", Cell::Number(tasks as f64));
    beside(bench, &name, "finished.sql", tasks)
}

/// Scheduled, blocked and paused tasks beside.
pub fn unready(bench: &Bench) -> Result<Report> {
    let tasks = bench.sized(100_000, 1_000_000);
    let name = format!("3 × {} unready tasks", Cell::Number(tasks as f64));
    beside(bench, &name, "unready.sql", tasks)
}

fn beside(bench: &Bench, name: &str, script: &str, tasks: usize) -> Result<Report> {
    let dbs = ["without", "with"].map(|which| format!("{which}_{}", script.replace(".sql", "")));
    for db in &dbs {
        bench.database(db)?;
    }
    bench.run_file(&dbs[1], script, &[("tasks", tasks)])?;
    for db in &dbs {
        bench.settle(db)?;
    }
    bench.database("beside_floor")?;
    let loads = [
        Load::ours("commit floor", "beside_floor", "commit_floor.pgb"),
        Load::ours("pg_baton, nothing else there", &dbs[0], "lifecycle.pgb"),
        Load::ours(&format!("pg_baton, {name}"), &dbs[1], "lifecycle.pgb"),
    ];
    let measured = bench.interleaved(&loads)?;

    let mut report = Report::of_rounds(bench);
    report.tables.push(Table::of_rates(
        format!("lifecycles/s, {CLIENTS} clients"),
        &measured,
        &[
            ("/ floor", &|row| row.over(&measured[0])),
            ("/ nothing else", &|row| row.over(&measured[1])),
        ],
    ));
    let mut table = Table::new(
        "buffers, exact",
        &["create", "acquire", "finalize", "a life", "/ nothing else"],
    );
    let mut alone = None;
    for (db, name) in dbs.iter().zip(["nothing else there", name]) {
        let buffers = bench
            .count_verbs(db, "task_create('bench', '{\"k\": 1}')")?
            .buffers;
        let life: f64 = buffers.iter().sum();
        let alone = *alone.get_or_insert(life);
        let cells = buffers.into_iter().chain([life]).map(Cell::Number);
        table.row(name, cells.chain([Cell::Ratio(life / alone)]));
    }
    report.tables.push(table);
    report.chart = Chart::of_shares(
        "lifecycles/s as shares of the commit floor",
        &measured,
        &measured[0],
    );
    bench.drop_databases(loads.iter().map(|load| &load.db))?;
    Ok(report)
}
