//! A task's life, one committed call each: beside the commit floor, floor 2 and the peers, with few and with many waiting tasks.

use super::report::{Cell, Chart, Report, Table};
use super::rounds::{Load, Measured};
use super::{Bench, CLIENTS};
use anyhow::Result;
use std::ops::Range;

/// What every database begins with.
const FEW: usize = 1_000;

/// What is measured with that many clients at a depth: where its floor, floor 2, pg_baton and then the peers are among the loads.
struct Group {
    clients: usize,
    floor: usize,
    rows: Range<usize>,
    missing: Vec<Measured>,
}

pub fn measure(bench: &Bench) -> Result<Report> {
    let depths = [FEW, bench.sized(100_000, 1_000_000)];
    bench.database("floor_db")?;
    let mut loads = vec![Load::ours("commit floor", "floor_db", "commit_floor.pgb")];
    let mut groups = Vec::new();
    for depth in depths {
        let from = loads.len();
        let (there, missing) = at_depth(bench, depth)?;
        loads.extend(there);
        groups.push(Group {
            clients: CLIENTS,
            floor: 0,
            rows: from..loads.len(),
            missing,
        });
    }
    // One client and many: without the peers.
    for clients in [1, 32] {
        let floor = loads.len();
        loads.push(loads[0].clone().clients(clients));
        for depth in 0..depths.len() {
            let of = groups[depth].rows.start;
            let from = loads.len();
            for at in [of, of + 1] {
                loads.push(loads[at].clone().clients(clients));
            }
            groups.push(Group {
                clients,
                floor,
                rows: from..loads.len(),
                missing: Vec::new(),
            });
        }
    }
    let measured = bench.interleaved(&loads)?;

    let mut report = Report::of_rounds(bench);
    for group in &groups {
        let floor = &measured[group.floor];
        let rows = &measured[group.rows.clone()];
        let of = if group.clients == 1 {
            "client"
        } else {
            "clients"
        };
        report.tables.push(Table::of_rates(
            format!("lifecycles/s, {} {of}", group.clients),
            [floor].into_iter().chain(rows).chain(&group.missing),
            &[
                ("/ floor", &|row| row.over(floor)),
                ("/ floor 2", &|row| row.over(&rows[0])),
                ("pg_baton /", &|row| rows[1].over(row)),
            ],
        ));
    }
    report.tables.push(count(bench, &depths)?);
    report.note(
        "Buffers and WAL are exact: medians of 15 calls by one client, without autovacuum and without page images; those of a life \
         are counted over 500 lives with their commits.",
    );
    for (peer, _) in bench.peers.get().into_iter().flatten() {
        report.note(format!("{} {}: {}.", peer.name, peer.version, peer.note));
    }
    report.chart = Chart::of_shares(
        format!("lifecycles/s, {CLIENTS} clients, as shares of the commit floor"),
        &measured[..groups[1].rows.end],
        &measured[0],
    );
    bench.drop_databases(loads.iter().map(|load| &load.db))?;
    Ok(report)
}

/// Floor 2, pg_baton, and the peers that can be had, each with that many waiting tasks; and the peers that cannot.
fn at_depth(bench: &Bench, depth: usize) -> Result<(Vec<Load>, Vec<Measured>)> {
    let named = |name: &str| format!("{name}, {} ready", Cell::Number(depth as f64));
    let [floor2, life] = ["floor2", "life"].map(|name| format!("{name}_{depth}"));
    bench.database(&floor2)?;
    if depth > FEW {
        bench.run_file(&floor2, "fill.sql", &[("batches", depth / 10_000)])?;
    }
    bench.settle(&floor2)?;
    bench.cluster.fresh_database(&life, &floor2)?;
    bench.psql(&life, "CHECKPOINT")?;
    let mut loads = vec![
        Load::ours(&named("floor 2"), &floor2, "floor2.pgb").writing_tables(),
        Load::ours(&named("pg_baton"), &life, "lifecycle.pgb"),
    ];
    let mut missing = Vec::new();
    for (peer, prepared) in bench.peers("life", depth) {
        match prepared {
            Ok(db) => {
                let mut load = Load::of_peer(peer, &db, &peer.lifecycle);
                load.name = named(&load.name);
                loads.push(load);
            }
            Err(error) => missing.push(Measured::failed(peer.name, &error)),
        }
    }
    Ok((loads, missing))
}

/// What the verbs touch at each depth, and what a whole life does.
fn count(bench: &Bench, depths: &[usize]) -> Result<Table> {
    let columns = ["create", "acquire", "finalize", "a life", "deep / shallow"];
    let mut table = Table::new("exact counts, 1 client", &columns);
    let mut verbs = Vec::new();
    let mut lives = Vec::new();
    for depth in depths {
        let db = format!("life_{depth}");
        verbs.push(bench.count_verbs(&db, "task_create('bench', '{\"k\": 1}')")?);
        let load = Load::ours("", &db, "lifecycle.pgb");
        lives.push(bench.without_noise(|| bench.count_life(&load, 500))?);
    }
    for (at, depth) in depths.iter().enumerate() {
        let ready = Cell::Number(*depth as f64);
        let mut line = |name: String, each: [f64; 3], life: f64, first: f64| {
            let cells = each
                .into_iter()
                .chain([life])
                .map(|count| Cell::Number(count.round()));
            table.row(name, cells.chain([Cell::quotient(life, first)]));
        };
        let sum: f64 = verbs[at].buffers.iter().sum();
        let first: f64 = verbs[0].buffers.iter().sum();
        line(
            format!("buffers, {ready} ready"),
            verbs[at].buffers,
            sum,
            first,
        );
        line(
            format!("WAL bytes, {ready} ready"),
            verbs[at].wal,
            lives[at].wal,
            lives[0].wal,
        );
        if let Some(statements) = verbs[at].statements {
            let each = statements.map(|count| count as f64);
            let first = verbs[0]
                .statements
                .unwrap_or(statements)
                .iter()
                .sum::<usize>() as f64;
            line(
                format!("statements inside, {ready} ready"),
                each,
                each.iter().sum(),
                first,
            );
        }
    }
    Ok(table)
}
