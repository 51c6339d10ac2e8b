//! `cargo durability`: what is left of what was acknowledged when servers die, are replaced, restored, or run out of space.

mod crash;
mod disk;
mod failover;
mod half;
mod load;
mod volume;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use xtask::cluster::Cluster;
use xtask::setup::{self, Pg};

const HELP: &str = "\
usage: cargo durability [-- PART … [options]]

  PART            failover, crash, disk, half (default: all)
  --quick         a slice of it
  --only WORD     only scenarios whose name has this word in it
  --seed N        what the clients do (default: by the clock; it is printed)
  --installed     test what is installed, without building it
  --library FILE  test this build of the library (with what else is installed)";

/// What is said of a scenario that was played: what happened in it, and what must not have.
pub struct Played {
    pub what: String,
    pub violations: Vec<String>,
}

/// What a scenario that cannot be played here begins with: it has neither passed nor failed.
const LEFT_OUT: &str = "left out: ";

impl Played {
    pub fn left_out(why: &str) -> Played {
        Played {
            what: format!("{LEFT_OUT}{why}"),
            violations: Vec::new(),
        }
    }
}

type Scenario = fn(&Setting) -> Result<Played>;

/// A part is one module; its scenarios run one after the other, each with servers of its own.
const PARTS: [(&str, &[(&str, Scenario)]); 4] = [
    ("failover", failover::SCENARIOS),
    ("crash", crash::SCENARIOS),
    ("disk", disk::SCENARIOS),
    ("half", half::SCENARIOS),
];

pub struct Setting {
    pub pg: Pg,
    pub library: Option<PathBuf>,
    pub quick: bool,
    pub seed: u64,
}

impl Setting {
    /// A fresh server with the extension's library that is to be tested.
    pub fn cluster(&self, name: &str, conf: &[(&str, &str)]) -> Result<Cluster> {
        match &self.library {
            Some(library) => Cluster::start_with_library(&self.pg, name, conf, library),
            None => Cluster::start(&self.pg, name, conf),
        }
    }

    /// How often something is to happen, in full and in the slice.
    pub fn times(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--").collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match play(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was found in any scenario.
fn play(args: &[String]) -> Result<bool> {
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let (mut parts, mut word) = (Vec::new(), String::new());
    let (mut quick, mut installed, mut library) = (false, false, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || {
            args.next()
                .with_context(|| format!("{arg} needs a value\n{HELP}"))
        };
        match arg.as_str() {
            "--quick" => quick = true,
            "--installed" => installed = true,
            "--seed" => seed = value()?.parse()?,
            "--only" => word = value()?.clone(),
            "--library" => library = Some(std::path::absolute(value()?)?),
            part if PARTS.iter().any(|(name, _)| *name == part) => parts.push(part.to_owned()),
            _ => bail!("unknown option {arg}\n{HELP}"),
        }
    }
    let pg = setup::ensure()?;
    if !installed && library.is_none() {
        setup::install(&pg)?;
    }
    let setting = Setting {
        pg,
        library,
        quick,
        seed,
    };
    println!("seed {seed}");
    let (mut passed, mut failed) = (0, 0);
    for (part, scenarios) in PARTS {
        if !parts.is_empty() && !parts.iter().any(|wanted| wanted == part) {
            continue;
        }
        for (name, scenario) in scenarios.iter().filter(|(name, _)| name.contains(&word)) {
            let begun = Instant::now();
            let played = scenario(&setting).unwrap_or_else(|error| Played {
                what: "broken off".to_owned(),
                violations: vec![format!("{error:#}")],
            });
            println!(
                "{part}, {name}: {} ({:.1} s)",
                played.what,
                begun.elapsed().as_secs_f64()
            );
            if played.violations.is_empty() {
                passed += usize::from(!played.what.starts_with(LEFT_OUT));
                continue;
            }
            failed += 1;
            println!(
                "  {} violations; the first of them:",
                played.violations.len()
            );
            for violation in played.violations.iter().take(5) {
                let some: String = violation.chars().take(2000).collect();
                println!("  - {some}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}
