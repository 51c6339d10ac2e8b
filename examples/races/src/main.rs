//! `cargo races`: five races that broke other systems, each run in plain SQL as its victims wrote it, and on the
//! extension. The workload is the same: the same program, the same seed, the same time to think; only the SQL differs,
//! side by side in sql/. docs/races.md tells what they are about.

mod arena;
mod r1;
mod r2;
mod r3;
mod r4;
mod r5;
mod report;

use anyhow::{Context, Result, bail};
use arena::{Arena, Line};
use report::{Report, Telling};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use xtask::cluster::{Cluster, TEMPLATE};
use xtask::setup;

const HELP: &str = "\
usage: cargo races [-- [R1 …] [--quick] [--seed N] [--installed] [--told]]

  R1 … R5       these races only
  --quick       a slice of each
  --seed N      other times to think (default 1)
  --installed   take the extension as it is installed, do not build and install it first
  --told        show who was told what, too";

/// What survives a crash is not the question here.
const CONF: &[(&str, &str)] = &[("fsync", "off"), ("max_connections", "200")];

struct Race {
    name: &'static str,
    play: fn(&Arena) -> Result<()>,
    tables: usize,
    sides: usize,
    /// In plain SQL, on the extension, and of each in a quick run.
    contests: [usize; 3],
    plain: &'static str,
    baton: &'static str,
    /// Answers that both must have come on the extension, or the sides never met.
    both: [(&'static str, &'static str); 2],
}

const BOTH: &str = include_str!("../sql/both.sql");

const RACES: [Race; 8] = [
    Race {
        name: "R1 finalize",
        play: r1::finalize,
        tables: 12,
        sides: 2,
        contests: [10_000, 10_000, 250],
        plain: include_str!("../sql/r1_finalize_plain.sql"),
        baton: include_str!("../sql/r1_finalize_baton.sql"),
        both: [("report", "finalized"), ("reconcile", "failed")],
    },
    Race {
        name: "R1 requeue",
        play: r1::requeue,
        tables: 12,
        sides: 2,
        contests: [5_000, 5_000, 150],
        plain: include_str!("../sql/r1_requeue_plain.sql"),
        baton: include_str!("../sql/r1_requeue_baton.sql"),
        both: [("start", "started"), ("requeue", "released")],
    },
    Race {
        name: "R2 messages",
        play: r2::messages,
        tables: 8,
        sides: 8,
        contests: [2_100, 2_100, 80],
        plain: include_str!("../sql/r2_messages_plain.sql"),
        baton: include_str!("../sql/r2_messages_baton.sql"),
        both: [("handle", "dispatched"), ("handle", "already_dispatched")],
    },
    Race {
        name: "R2 built in",
        play: r2::chord,
        tables: 8,
        sides: 5,
        contests: [2_100, 2_100, 80],
        plain: include_str!("../sql/r2_chord_plain.sql"),
        baton: include_str!("../sql/r2_chord_baton.sql"),
        both: [("finish", "dispatched"), ("finish", "finalized")],
    },
    Race {
        name: "R3 lease",
        play: r3::lease,
        tables: 16,
        sides: 3,
        contests: [10_000, 10_000, 200],
        plain: include_str!("../sql/r3_lease_plain.sql"),
        baton: include_str!("../sql/r3_lease_baton.sql"),
        both: [("take over", "acquired"), ("acquire", "held")],
    },
    Race {
        name: "R4 tape",
        play: r4::tape,
        tables: 12,
        sides: 3,
        contests: [2_560, 2_560, 200],
        plain: include_str!("../sql/r4_tape_plain.sql"),
        baton: include_str!("../sql/r4_tape_baton.sql"),
        both: [("progress", "dropped_after_final"), ("finish", "cancelled")],
    },
    Race {
        name: "R4 cancel",
        play: r4::cancel,
        tables: 12,
        sides: 2,
        contests: [2_560, 2_560, 200],
        plain: include_str!("../sql/r4_cancel_plain.sql"),
        baton: include_str!("../sql/r4_cancel_baton.sql"),
        both: [("cancel", "cancelled"), ("cancel", "cancel_requested")],
    },
    Race {
        name: "R5 plan",
        play: r5::plan,
        tables: 8,
        sides: 3,
        contests: [1_000, 1_000, 100],
        plain: include_str!("../sql/r5_plan_plain.sql"),
        baton: include_str!("../sql/r5_plan_baton.sql"),
        both: [("report", "running"), ("report", "paused")],
    },
];

struct Options {
    races: Vec<String>,
    quick: bool,
    seed: u64,
    installed: bool,
    told: bool,
}

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--help" || arg == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match options().and_then(|options| run(&options)) {
        Ok(report) => {
            println!("\n{} passed, {} failed", report.passed, report.failed);
            ExitCode::from(u8::from(report.failed > 0))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options> {
    let mut options = Options {
        races: Vec::new(),
        quick: false,
        seed: 1,
        installed: false,
        told: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // `cargo races -- --quick`: the alias has a `--` of its own.
            "--" => {}
            "--quick" => options.quick = true,
            "--installed" => options.installed = true,
            "--told" => options.told = true,
            "--seed" => {
                let number = args.next().context("--seed needs a number")?;
                options.seed = number.parse().context("--seed needs a number")?;
            }
            race if RACES
                .iter()
                .any(|r| r.name.starts_with(&race.to_uppercase())) =>
            {
                options.races.push(race.to_uppercase());
            }
            other => bail!("unknown argument {other}\n{HELP}"),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<Report> {
    let pg = setup::ensure()?;
    if !options.installed {
        setup::install(&pg)?;
    }
    let cluster = Cluster::start(&pg, "races", CONF)?;
    cluster.make_template()?;
    let begun = Instant::now();
    let mut report = Report::new(options.told);
    println!("seed {}\n", options.seed);
    report.heading();
    for race in RACES {
        let wanted = |chosen: &String| race.name.starts_with(chosen.as_str());
        if !options.races.is_empty() && !options.races.iter().any(wanted) {
            continue;
        }
        for telling in [Telling::Plain, Telling::Baton] {
            let sql = match telling {
                Telling::Plain => race.plain,
                Telling::Baton => race.baton,
            };
            tell(options, &cluster, &race, telling, sql, &mut report)
                .with_context(|| format!("{}, {}", race.name, telling.name()))?;
        }
    }
    println!("\nbaton_check(true) after each: {} rows", report.check_rows);
    println!("{:.0} s in all", begun.elapsed().as_secs_f64());
    Ok(report)
}

fn tell(
    options: &Options,
    cluster: &Cluster,
    race: &Race,
    telling: Telling,
    sql: &str,
    report: &mut Report,
) -> Result<()> {
    let database = "races";
    let [plain, baton, quick] = race.contests;
    let (template, contests) = match telling {
        Telling::Plain => ("template0", plain),
        Telling::Baton => (TEMPLATE, baton),
    };
    // A backend that has just begun plans its statements first: a quick run begins fewer of them.
    let (contests, tables) = match options.quick {
        true => (quick, race.tables.div_ceil(3)),
        false => (contests, race.tables),
    };
    cluster.fresh_database(database, template)?;
    let socket = cluster.socket();
    let socket_dir = socket.parent().unwrap_or(Path::new("/"));
    let mut line = Line::open(socket_dir, database)?;
    line.script(BOTH)?;
    line.script(sql)?;
    let begun = Instant::now();
    (race.play)(&Arena {
        socket_dir,
        database,
        seed: options.seed,
        tables,
        sides: race.sides,
        contests,
    })?;
    let took = begun.elapsed();
    report.count(race.name, telling, contests, race.both, took, &mut line)
}
