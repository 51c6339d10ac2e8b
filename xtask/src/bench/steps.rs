//! Items of one step: beside plain tasks, and whole steps from their start to their end, of few items and of many.

use super::report::{Cell, Report, Table};
use super::rounds::{Load, Measured, Spread};
use super::{Bench, CLIENTS, ROUNDS};
use anyhow::{Result, ensure};

/// Items of one step, which end beside each other, against as many tasks that have nothing to do with each other.
pub fn beside_plain_tasks(bench: &Bench) -> Result<Report> {
    let items = bench.sized(4_000, 16_000);
    let workloads = [
        ("plain tasks", "plain_tasks.sql", 0),
        ("items of one step", "wide_step.sql", 0),
        ("items, max_parallel 100", "wide_step.sql", 100),
        ("items, max_parallel 16", "wide_step.sql", 16),
        ("tasks in line for 8 slots", "slots_waiting.sql", 0),
    ];
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); workloads.len()];
    for _ in 0..ROUNDS {
        for (rates, (_, script, max_parallel)) in rates.iter_mut().zip(workloads) {
            let db = "wide";
            bench.database(db)?;
            bench.end_tasks(db)?;
            make(bench, db, script, items, max_parallel)?;
            let begun = std::time::Instant::now();
            work_off(bench, db, items)?;
            rates.push(items as f64 / begun.elapsed().as_secs_f64());
        }
    }
    let measured: Vec<Measured> = workloads
        .iter()
        .zip(rates)
        .map(|((name, ..), rates)| Measured {
            name: name.to_string(),
            rate: Ok(Spread::of(&rates)),
        })
        .collect();
    let mut report = Report {
        rounds: Some(format!("{ROUNDS} interleaved rounds")),
        ..Report::default()
    };
    report.tables.push(Table::of_rates(
        format!(
            "acquire and finalize a second, {} tasks, {CLIENTS} clients",
            Cell::Number(items as f64)
        ),
        &measured,
        &[("/ plain", &|row| row.over(&measured[0]))],
    ));
    Ok(report)
}

/// A whole step, from its start to the end of its last item, alone and under a held snapshot.
pub fn whole(bench: &Bench) -> Result<Report> {
    let widths: &[usize] = bench.sized(
        &[10, 100, 1_000, 10_000],
        &[10, 100, 1_000, 10_000, 100_000],
    );
    let two_largest = widths[widths.len() - 2];
    let columns = [
        "seconds",
        "start, ms an item",
        "ms an item",
        "/ a tenth of it",
    ];
    let mut report = Report::default();
    for held in [false, true] {
        let title = if held {
            "a whole step, under a held snapshot"
        } else {
            "a whole step"
        };
        let mut table = Table::new(format!("{title}, {CLIENTS} clients"), &columns);
        let mut narrower = None;
        for &items in widths
            .iter()
            .filter(|items| !held || **items >= two_largest)
        {
            let db = "width";
            bench.database(db)?;
            bench.end_tasks(db)?;
            let holder = held.then(|| bench.hold_snapshot(db)).transpose()?;
            let start = make(bench, db, "wide_step.sql", items, 0)?;
            work_off(bench, db, items)?;
            drop(holder);
            // As the tables have it: the sessions of pgbench take longer to begin than ten items to be worked off.
            let worked = "SELECT extract(epoch FROM max(finalized_at) - min(leased_at)) FROM baton.task_done WHERE state = 10";
            let seconds = start + bench.number(db, worked)?;
            let each = seconds / items as f64;
            table.row(
                format!("{} items", Cell::Number(items as f64)),
                [
                    Cell::Number(seconds),
                    Cell::Number(start * 1000.0 / items as f64),
                    Cell::Number(each * 1000.0),
                    Cell::ratio(narrower.map(|narrower: f64| each / narrower)),
                ],
            );
            narrower = Some(each);
        }
        report.tables.push(table);
    }
    report.note(
        "Seconds: of the call that starts it, and from the first acquire to the last finalize.",
    );
    Ok(report)
}

/// Tasks that are there to be worked off; how long it took to make them, in seconds.
fn make(bench: &Bench, db: &str, script: &str, items: usize, max_parallel: usize) -> Result<f64> {
    let script = format!(
        "\\timing on\n{}",
        std::fs::read_to_string(Bench::file(script))?
    );
    let variables = format!("\\set items {items}\n\\set max_parallel {max_parallel}\n");
    let told = bench.psql(db, &(variables + &script))?;
    bench.psql(db, "VACUUM ANALYZE")?;
    let times = told.lines().filter_map(|line| line.strip_prefix("Time: "));
    let times = times.filter_map(|time| time.split(' ').next()?.parse::<f64>().ok());
    Ok(times.sum::<f64>() / 1000.0)
}

/// Works them off, one by one.
fn work_off(bench: &Bench, db: &str, items: usize) -> Result<()> {
    let mut ended = 0;
    // An acquire may come up empty beside others, and in a line for few slots often does: the rest once more.
    for _ in 0..20 {
        let each = (items - ended).div_ceil(CLIENTS).to_string();
        bench.pgbench(&Load::ours("", db, "work_off.pgb"), &["-t", &each])?;
        let completed = "SELECT count(*) FROM baton.task_done WHERE state = 10";
        ended = bench.number(db, completed)? as usize;
        if ended == items {
            break;
        }
    }
    ensure!(ended == items, "{ended} of {items} tasks ended");
    Ok(())
}
