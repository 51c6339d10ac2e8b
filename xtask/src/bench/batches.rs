//! The lives of 100 tasks in three calls, beside the same statements as plain SQL and beside the batches of the peers.

use super::report::{Chart, Report, Table};
use super::rounds::{Load, Measured};
use super::{Bench, CLIENTS};
use anyhow::Result;

const BATCH: usize = 100;

pub fn measure(bench: &Bench) -> Result<Report> {
    for db in ["batch_floor", "batch_ours"] {
        bench.database(db)?;
        bench.settle(db)?;
    }
    let mut loads = vec![
        Load::ours("the same set statements", "batch_floor", "batch_floor.pgb")
            .writing_tables()
            .of(BATCH),
        Load::ours("pg_baton", "batch_ours", "batch.pgb").of(BATCH),
    ];
    let mut missing = Vec::new();
    let mut without_history = Vec::new();
    for (peer, prepared) in bench.peers("batch", 1_000) {
        if !peer.keeps_history {
            without_history.push(peer.name);
        }
        match prepared {
            Ok(db) => match &peer.batch {
                Some(script) => loads.push(Load::of_peer(peer, &db, script).of(BATCH)),
                None => {
                    let rate = Err("has no batches".into());
                    missing.push(Measured {
                        name: peer.name.into(),
                        rate,
                    });
                }
            },
            Err(error) => missing.push(Measured::failed(peer.name, &error)),
        }
    }
    let measured = bench.interleaved(&loads)?;
    let [floor, ours] = [&measured[0], &measured[1]];
    let mut report = Report::of_rounds(bench);
    report.tables.push(Table::of_rates(
        format!("tasks/s in batches of {BATCH}, {CLIENTS} clients"),
        measured.iter().chain(&missing),
        &[
            ("/ set statements", &|row| row.over(floor)),
            ("pg_baton /", &|row| ours.over(row)),
        ],
    ));
    if !without_history.is_empty() {
        report.note(format!(
            "No row is kept of what is finished by {}.",
            without_history.join("; ")
        ));
    }
    report.chart = Chart::of_shares(
        format!(
            "tasks/s in batches of {BATCH}, {CLIENTS} clients, as shares of the same set statements"
        ),
        &measured,
        floor,
    );
    bench.drop_databases(loads.iter().map(|load| &load.db))?;
    Ok(report)
}
