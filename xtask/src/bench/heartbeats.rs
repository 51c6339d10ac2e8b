//! Heartbeats of 10,000 live leases, one by one and 100 a call, beside a bare one-row update; and how many of them are heap-only.

use super::report::{Cell, Chart, Report, Table};
use super::rounds::Load;
use super::{Bench, CLIENTS};
use anyhow::{Result, ensure};

pub fn measure(bench: &Bench) -> Result<Report> {
    let db = "heartbeats";
    let mut loads = [
        Load::ours("a bare one-row update", db, "heartbeat_floor.pgb"),
        Load::ours("pg_baton, task_heartbeat", db, "heartbeat.pgb"),
        Load::ours("pg_baton, task_heartbeat_many of 100", db, "heartbeats.pgb").of(100),
    ];
    leases(bench, db, &mut loads)?;
    let (updates, heap_only) = bench.updates(db, "baton.task_live")?;
    let measured = bench.interleaved(&loads)?;
    let (updates_after, heap_only_after) = bench.updates(db, "baton.task_live")?;
    let beats = updates_after - updates;
    let held = bench.number(db, "SELECT count(*) FROM baton.task_live WHERE state = 3 AND lease_expires_at > now() + '90 min'")?;
    ensure!(held > 9_000.0, "only {held} leases were extended");

    let mut report = Report::of_rounds(bench);
    report.tables.push(Table::of_rates(
        format!("heartbeats/s, {CLIENTS} clients, 10,000 leases"),
        &measured,
        &[
            ("/ bare update", &|row| row.over(&measured[0])),
            ("/ one by one", &|row| row.over(&measured[1])),
        ],
    ));
    let mut hot = Table::new("updates of baton.task_live", &["all", "heap-only", "share"]);
    let heap_only = heap_only_after - heap_only;
    hot.row(
        "by these heartbeats, no snapshot held",
        [
            Cell::Number(beats),
            Cell::Number(heap_only),
            Cell::Ratio(heap_only / beats),
        ],
    );
    report.tables.push(hot);
    report.chart = Chart::of_shares(
        "heartbeats/s as shares of a bare one-row update",
        &measured,
        &measured[0],
    );
    bench.drop_databases([&db.to_owned()])?;
    Ok(report)
}

/// A database with 10,000 live leases, whose ids follow each other from `:first`.
pub fn leases(bench: &Bench, db: &str, loads: &mut [Load]) -> Result<()> {
    bench.database(db)?;
    bench.run_file(db, "leases.sql", &[])?;
    bench.settle(db)?;
    let ids = bench.psql(
        db,
        "SELECT min(task_id), max(task_id) - min(task_id) FROM baton.task_live WHERE state = 3",
    )?;
    let ids: Vec<i64> = ids.split('|').map(str::parse).collect::<Result<_, _>>()?;
    ensure!(
        ids[1] == 9_999,
        "the ids of the leases do not follow each other"
    );
    for load in loads {
        load.variables.push(("first", ids[0]));
    }
    Ok(())
}
