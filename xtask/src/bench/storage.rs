//! What a finished task leaves behind on disk, and what its life writes into the WAL.

use super::Bench;
use super::report::{Cell, Report, Table};
use super::rounds::{Load, why};
use anyhow::Result;

pub fn measure(bench: &Bench) -> Result<Report> {
    let lives = bench.sized(4_000, 20_000);
    let columns = [
        "WAL bytes",
        "disk bytes as left",
        "disk bytes, packed",
        "keeps what is finished",
    ];
    let mut table = Table::new("per finished task", &columns);
    let db = "storage";
    bench.database(db)?;
    bench.settle(db)?;
    let load = Load::ours("pg_baton", db, "lifecycle.pgb");
    table.row(
        load.name.clone(),
        stored(bench, &load, "baton", lives, true)?,
    );
    for (peer, prepared) in bench.peers("storage", 1_000) {
        let cells = prepared.and_then(|db| {
            let load = Load::of_peer(peer, &db, &peer.lifecycle);
            stored(bench, &load, peer.schema, lives, peer.keeps_history)
        });
        table.row(
            format!("{} {}", peer.name, peer.version),
            cells.unwrap_or_else(|error| vec![Cell::text(why(&error))]),
        );
    }
    let mut report = Report::default();
    report.tables.push(table);
    report.note(format!(
        "Over {} lives, without autovacuum and without page images. As left: tables and indexes with their dead rows. Packed: after \
         VACUUM FULL of them.",
        Cell::Number(lives as f64)
    ));
    Ok(report)
}

fn stored(
    bench: &Bench,
    load: &Load,
    schema: &str,
    lives: usize,
    keeps: bool,
) -> Result<Vec<Cell>> {
    let db = &load.db;
    let tables = format!(
        "FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind IN ('r', 'm')"
    );
    let size = || {
        bench.number(
            db,
            &format!("SELECT sum(pg_total_relation_size(oid)) {tables}"),
        )
    };
    let packed = || {
        let pack = format!("SELECT 'VACUUM FULL ' || oid::regclass {tables} \\gexec\n");
        bench.psql(db, &pack)?;
        size()
    };
    bench.without_noise(|| {
        // Sequences and pages that are used for the first time.
        bench.pgbench(load, &["-t", "25"])?;
        let packed_before = packed()?;
        let wal = bench.wal_position()?;
        let each = lives / load.clients;
        bench.pgbench(load, &["-t", &each.to_string()])?;
        let per_life = |bytes: f64| Cell::Number((bytes / (each * load.clients) as f64).round());
        let wal = bench.wal_position()? - wal;
        let left = size()? - packed_before;
        Ok(vec![
            per_life(wal),
            per_life(left),
            per_life(packed()? - packed_before),
            Cell::text(if keeps { "yes" } else { "no" }),
        ])
    })
}
