//! Events of running tasks, one by one and 100 a call, beside bare inserts into a table of the same columns and indexes.

use super::heartbeats::leases;
use super::report::{Chart, Report, Table};
use super::rounds::Load;
use super::{Bench, CLIENTS};
use anyhow::{Result, ensure};

pub fn measure(bench: &Bench) -> Result<Report> {
    let db = "events";
    let mut loads = [
        Load::ours("a bare insert", db, "event_floor.pgb"),
        Load::ours("pg_baton, task_append_event", db, "event.pgb"),
        Load::ours("a bare insert of 100 rows", db, "events_floor.pgb").of(100),
        Load::ours("pg_baton, task_append_events of 100", db, "events.pgb").of(100),
    ];
    leases(bench, db, &mut loads)?;
    let measured = bench.interleaved(&loads)?;
    let appended = bench.number(
        db,
        "SELECT count(*) FROM baton.event WHERE kind = 'progress'",
    )?;
    ensure!(appended > 0.0, "no event was appended");

    let mut report = Report::of_rounds(bench);
    for (title, rows) in [
        ("one by one", &measured[..2]),
        ("100 a call", &measured[2..]),
    ] {
        report.tables.push(Table::of_rates(
            format!("events/s, {title}, {CLIENTS} clients"),
            rows,
            &[("/ bare insert", &|row| row.over(&rows[0]))],
        ));
    }
    report.chart = Chart::of_shares(
        "events/s as shares of a bare one-row insert",
        &measured,
        &measured[0],
    );
    bench.drop_databases([&db.to_owned()])?;
    Ok(report)
}
