//! `cargo stress`: many clients do at random what workers, schedulers and operators do, on purpose and by mistake, while
//! servers, connections and workers die; then every task's history is held against the specification.

mod acts;
mod checker;
#[cfg(test)]
mod examination;
mod faults;
mod history;
#[allow(
    dead_code,
    reason = "what decides about tasks is of use here, not all of it"
)]
#[path = "../../src/model/mod.rs"]
mod model;
mod project;
mod proxy;
mod run;
mod saga;
mod slots;
mod spec;
mod together;
mod transaction;
mod worker;
mod workflow;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use xtask::setup;

const HELP: &str = "\
usage: cargo stress [-- options]

  --seed N        what is done, and when (default: by the clock; it is printed)
  --tasks N       how many tasks are created, at least, in each round (default 5000)
  --clients N     how many connections call (default 12)
  --faults LIST   all (default), none, or some of: backend-kill, server-kill, immediate-stop, terminate, cancel,
                  timeouts, cut, worker-stop, worker-kill, pauses, unflushed, snapshot, vacuum
  --crashes N     how often the server goes down in each round (default 3)
  --rounds N      so many runs, with seeds that follow each other (default 1)
  --installed     test what is installed, without building it
  --library FILE  test this build of the library (with what else is installed)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--").collect();
    if let [flag, orders] = &args[..]
        && flag == "--worker"
    {
        let done = serde_json::from_str(orders)
            .context("orders")
            .and_then(|orders| worker::run(&orders));
        return match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("worker: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match rounds(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether no round found a violation.
fn rounds(args: &[String]) -> Result<bool> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let (mut seed, mut tasks, mut clients, mut crashes, mut rounds) = (clock, 5000, 12, 3, 1);
    let mut faults = faults::Fault::ALL.to_vec();
    let (mut installed, mut library) = (false, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--installed" {
            installed = true;
            continue;
        }
        let value = args
            .next()
            .with_context(|| format!("{arg} needs a value\n{HELP}"))?;
        match arg.as_str() {
            "--seed" => seed = value.parse()?,
            "--tasks" => tasks = value.parse()?,
            "--clients" => clients = value.parse::<usize>()?.clamp(1, 64),
            "--crashes" => crashes = value.parse()?,
            "--rounds" => rounds = value.parse()?,
            "--library" => library = Some(std::path::absolute(value)?),
            "--faults" => {
                faults = faults::parse(value)
                    .with_context(|| format!("{value}: no such faults\n{HELP}"))?
            }
            _ => bail!("unknown option {arg}\n{HELP}"),
        }
    }
    let pg = setup::ensure()?;
    if !installed && library.is_none() {
        setup::install(&pg)?;
    }
    let (mut passed, mut failed, mut all_tasks, mut calls, mut down) = (0, 0, 0, 0, 0);
    for round in 0..rounds {
        let options = run::Options {
            seed: seed + round,
            tasks,
            clients,
            faults: faults.clone(),
            crashes,
            library: library.clone(),
        };
        let outcome = run::run(&pg, options)?;
        if outcome.violations.is_empty() {
            passed += 1;
        } else {
            failed += 1;
        }
        all_tasks += outcome.tasks;
        calls += outcome.calls;
        down += outcome.crashes;
        if failed > 0 {
            break; // its history is there to be looked at
        }
    }
    println!("{all_tasks} tasks, {calls} calls, {down} crashes of the server");
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}
