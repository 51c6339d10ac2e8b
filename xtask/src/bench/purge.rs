//! How long it takes to purge finished tasks, call by call, alone and while another session holds a snapshot.

use super::Bench;
use super::report::{Cell, Report, Table};
use super::rounds::Spread;
use anyhow::Result;
use std::time::Instant;

pub fn measure(bench: &Bench) -> Result<Report> {
    let tasks = bench.sized(100_000, 1_000_000);
    let columns = [
        "calls",
        "seconds",
        "ms a call",
        "min",
        "max",
        "last tenth / first",
    ];
    let title = format!("purging {} finished tasks", Cell::Number(tasks as f64));
    let mut table = Table::new(title, &columns);
    for (name, held) in [("alone", false), ("under a held snapshot", true)] {
        let db = "purge";
        bench.database(db)?;
        bench.run_file(db, "purge.sql", &[("tasks", tasks)])?;
        bench.settle(db)?;
        let holder = held.then(|| bench.hold_snapshot(db)).transpose()?;
        let calls = purge(bench, db)?;
        drop(holder);
        let all = Spread::of(&calls);
        let tenth = calls.len().div_ceil(10);
        let [first, last] =
            [&calls[..tenth], &calls[calls.len() - tenth..]].map(|calls| Spread::of(calls).median);
        let seconds = calls.iter().sum::<f64>() / 1000.0;
        let shown = [calls.len() as f64, seconds, all.median, all.min, all.max];
        table.row(
            name,
            shown
                .map(Cell::Number)
                .into_iter()
                .chain([Cell::Ratio(last / first)]),
        );
        bench.drop_databases([&db.to_owned()])?;
    }
    Ok(Report {
        tables: vec![table],
        ..Report::default()
    })
}

/// Milliseconds of each call.
fn purge(bench: &Bench, db: &str) -> Result<Vec<f64>> {
    let mut client = bench.client_config(db)?.connect(postgres::NoTls)?;
    let purge = client.prepare("SELECT more FROM baton_purge('1 day')")?;
    let mut calls = Vec::new();
    loop {
        let begun = Instant::now();
        let more: bool = client.query_one(&purge, &[])?.get(0);
        calls.push(begun.elapsed().as_secs_f64() * 1000.0);
        if !more {
            return Ok(calls);
        }
    }
}
