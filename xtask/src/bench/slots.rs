//! A task's life with slots, which are free, beside one without; and what a line for one key costs the tasks of another.

use super::report::{Cell, Chart, Report, Table};
use super::rounds::Load;
use super::{Bench, CLIENTS};
use anyhow::Result;

pub fn measure(bench: &Bench) -> Result<Report> {
    let loads = [
        ("pg_baton, plain tasks", "slots_none"),
        ("pg_baton, one key, capacity 8", "slots_one"),
        ("pg_baton, one of 1,000 keys", "slots_many"),
        ("pg_baton, three of 1,000 keys", "slots_three"),
    ]
    .map(|(name, script)| Load::ours(name, script, &format!("{script}.pgb")));
    for load in &loads {
        bench.database(&load.db)?;
        bench.run_file(&load.db, "slots.sql", &[])?;
    }
    let measured = bench.interleaved(&loads)?;
    let mut report = Report::of_rounds(bench);
    report.tables.push(Table::of_rates(
        format!("create, acquire, finalize a second, {CLIENTS} clients"),
        &measured,
        &[("/ plain", &|row| row.over(&measured[0]))],
    ));
    report.tables.push(waiters(bench)?);
    report.chart = Chart::of_shares(
        "lifecycles/s with slots as shares of plain tasks",
        &measured,
        &measured[0],
    );
    bench.drop_databases(loads.iter().map(|load| &load.db))?;
    Ok(report)
}

/// What tasks in line for a key that is full cost those of another key.
fn waiters(bench: &Bench) -> Result<Table> {
    let waiting = bench.sized(100_000, 1_000_000);
    let db = "waiters";
    bench.database(db)?;
    bench.end_tasks(db)?;
    bench.psql(db, "SELECT slot_set('other', 8); VACUUM ANALYZE")?;
    let create = "task_create('bench', '{\"k\": 1}', priority => 9, slot_keys => '{other}')";
    let count = || -> Result<f64> { Ok(bench.count_verbs(db, create)?.buffers.iter().sum()) };
    let alone = count()?;
    bench.run_file(db, "slots_waiting.sql", &[("items", waiting)])?;
    bench.settle(db)?;
    let beside = count()?;
    let mut table = Table::new(
        "buffers of a life with a slot, exact",
        &["a life", "/ alone"],
    );
    table.row(
        "nothing else there",
        [Cell::Number(alone), Cell::Ratio(1.0)],
    );
    table.row(
        format!(
            "{} tasks in line for another key",
            Cell::Number(waiting as f64)
        ),
        [Cell::Number(beside), Cell::Ratio(beside / alone)],
    );
    bench.drop_databases([&db.to_owned()])?;
    Ok(table)
}
