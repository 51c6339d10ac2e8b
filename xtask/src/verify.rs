//! `cargo verify`: everything there is to pass, in the order in which a mistake is cheapest to find.
//!
//! The extension is always built in release mode with one set of features, so that the extension and pgrx are compiled
//! as few times as can be. The pgrx tests install a test build over the released one; that is why they come
//! before `install`, and why whatever needs a server comes after it.

pub mod backup;
pub mod costs;
pub mod deny;
pub mod drivers;
pub mod examples;
pub mod mermaid;
pub mod package;
pub mod pgspot;
pub mod process;
pub mod regress;
pub mod tally;
pub mod upgrade;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::Cluster;
use crate::setup::{self, Pg};
use crate::{demo, doc_blocks, generate, seeded_bugs};
use process::Finished;
use tally::{Tally, seconds};

/// Long enough to compile everything on two slow cores.
const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);

/// The longest of them, a full stress run.
const PROOF_LIMIT: Duration = Duration::from_secs(90 * 60);

/// How many files the demo hashes here: enough for every worker to have its turn.
const DEMO_FILES: &str = "300";
const WORKFLOW_FILES: &str = "60";

/// The name of each step, for `--only`, and what it proves.
const STEPS: &[(&str, &str)] = &[
    ("fmt", "the code is formatted"),
    ("clippy", "no warnings"),
    ("deny", "what comes in as a dependency may"),
    (
        "unit",
        "the pure model, the rules of the house, these tools, the checker's examination",
    ),
    ("model", "all orders of few calls"),
    ("pgrx", "tests inside the server"),
    ("install", "a release build, installed"),
    ("pgspot", "what is run as a superuser is nobody else's"),
    ("package", "what others install from"),
    ("generate", "generated files are fresh"),
    ("regress", "the SQL face, one behaviour a file"),
    ("isolation", "the races, one a spec"),
    ("costs", "what a call costs, counted"),
    ("demo", "the examples do real work"),
    ("upgrade", "whoever has an earlier release goes on"),
    ("docs", "the documentation does what it shows"),
    ("mermaid", "Mermaid draws the graphs of runs"),
    ("executor", "messages, and one successor a group"),
    (
        "drivers",
        "five drivers and the examples, directly and through PgBouncer",
    ),
    ("races", "the five races, in plain SQL and here"),
    ("stress", "random clients, and everything that fails"),
    ("backup", "dumps, copies and pg_upgrade lose nothing"),
    ("failover", "servers die, others take over or are restored"),
    (
        "crash",
        "kills, power cuts, full disks; verbs stopped half way",
    ),
    ("bugs", "the tests notice what is broken on purpose"),
];

/// Only with `--full`, or when it is asked for: it builds the extension once for each bug.
const FULL_ONLY: &str = "bugs";

/// The rounds of a full run: 300,000 lifecycles and 100 crashes of the server in all.
const FULL_STRESS: &[&str] = &[
    "--rounds",
    "10",
    "--tasks",
    "30000",
    "--crashes",
    "10",
    "--clients",
    "16",
];
const SLICE_OF_STRESS: &[&str] = &["--tasks", "4000", "--crashes", "3"];

/// Steps that talk to a server with the extension installed.
const NEED_SERVER: &[&str] = &[
    "generate",
    "regress",
    "isolation",
    "docs",
    "executor",
    "drivers",
    "mermaid",
];
/// Steps that start servers of their own, with the extension that is installed.
const NEED_INSTALL: &[&str] = &[
    "pgspot", "costs", "upgrade", "races", "stress", "backup", "failover", "crash", "bugs",
];

/// Steps for which it does not matter which PostgreSQL there is.
const ANY_POSTGRES: &[&str] = &[
    "fmt", "deny", "pgspot", "unit", "model", "demo", "mermaid", "bugs",
];

#[derive(Default)]
struct Options {
    only: BTreeSet<String>,
    /// The versions of PostgreSQL to do it with, one after the other; none: the one that is there.
    versions: Vec<u32>,
    /// All there is, not a slice.
    full: bool,
    chosen: regress::Chosen,
}

pub fn run(args: &[String]) -> Result<()> {
    let options = options(args)?;
    options.chosen.validate()?;
    if !options.versions.is_empty() {
        return with_each(&options);
    }
    let begun = Instant::now();
    let mut tally = Tally::default();
    if let Err(error) = steps(&options, &mut tally) {
        tally.failed("verify", &format!("{error:#}"));
    }
    tally.conclude(begun);
    Ok(())
}

fn options(args: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "--" => {}
            "--full" => options.full = true,
            "--pg" => {
                options.versions = match args.next().unwrap_or_default() {
                    "all" => setup::VERSIONS.collect(),
                    some => some
                        .split(',')
                        .map(str::parse)
                        .collect::<Result<_, _>>()
                        .with_context(|| format!("--pg {some}: it wants versions, or all"))?,
                }
            }
            "--bless" | "--accept" => options.chosen.bless = true,
            "--only" => {
                for step in args.next().unwrap_or_default().split(',') {
                    if !STEPS.iter().any(|(name, _)| *name == step) {
                        let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
                        bail!(
                            "there is no step {step:?}; the steps are {}",
                            names.join(", ")
                        );
                    }
                    options.only.insert(step.to_string());
                }
            }
            test if !test.starts_with('-') => options.chosen.tests.push(test.to_string()),
            other => {
                bail!(
                    "unknown option {other}: use --only STEP[,STEP] [TEST …], --pg VERSION, --full, --bless"
                )
            }
        }
    }
    Ok(options)
}

/// Starts this program for each version: all of it is told by `PG_CONFIG` which one it is for.
fn with_each(options: &Options) -> Result<()> {
    let mut failed = Vec::new();
    for (i, version) in options.versions.iter().enumerate() {
        println!("==> PostgreSQL {version}");
        let pg = setup::ensure_version(*version)?;
        let steps = STEPS
            .iter()
            .map(|(step, _)| *step)
            .filter(|step| wanted(options, step) && (i == 0 || !ANY_POSTGRES.contains(step)));
        let steps: Vec<&str> = steps.collect();
        if steps.is_empty() {
            continue;
        }
        let mut verify = Command::new(std::env::current_exe()?);
        verify
            .args(["verify", "--only", &steps.join(",")])
            .args(options.full.then_some("--full"))
            .args(options.chosen.bless.then_some("--bless"))
            .args(&options.chosen.tests)
            .env("PG_CONFIG", &pg.pg_config);
        if !verify.status()?.success() {
            failed.push(format!("PostgreSQL {version}"));
        }
    }
    ensure!(failed.is_empty(), "failed with {}", failed.join(", "));
    Ok(())
}

/// Runs the chosen steps until one fails.
fn steps(options: &Options, tally: &mut Tally) -> Result<()> {
    announce("setup", "what the tests need is on this machine");
    let begun = Instant::now();
    let pg = setup::ensure()?;
    println!("    PostgreSQL {} {}", pg.version, seconds(begun.elapsed()));

    let mut out = setup::target_dir().join("verify");
    if pg.version != setup::SERVER {
        out.push(pg.feature());
    }
    fs::create_dir_all(&out)?;
    let mut server = None;
    for &(step, what) in STEPS {
        if !wanted(options, step) {
            continue;
        }
        announce(step, what);
        if NEED_SERVER.contains(&step) && server.is_none() {
            let started = Cluster::start(&pg, "verify", SERVER)?;
            started.make_template()?;
            server = Some(started);
        }
        let done = match (step, &server) {
            ("fmt", _) => fmt(&pg, &out, tally),
            ("clippy", _) => clippy(&pg, &out, tally),
            ("deny", _) => deny::run(&out, tally),
            ("unit", _) => unit(&pg, &out, tally),
            ("model", _) => {
                let quick: &[&str] = if options.full { &[] } else { &["--quick"] };
                proof(&pg, &out, tally, ("model-check", "model-check"), quick)
            }
            ("pgrx", _) => pgrx(&pg, &out, tally),
            ("install", _) => timed(tally, "install", || setup::install(&pg)),
            ("pgspot", _) => pgspot::run(&pg, &out, tally),
            ("package", _) => package::run(&pg, &out, tally),
            ("demo", _) => demos(tally),
            ("generate", Some(server)) => generate::check(server, tally),
            ("regress", Some(server)) => {
                regress::regress(&pg, server, &out, &options.chosen, tally)
            }
            ("isolation", Some(server)) => {
                regress::isolation(&pg, server, &out, &options.chosen, tally)
            }
            ("costs", _) => costs::run(&pg, &out, options.chosen.bless, tally),
            ("upgrade", _) => upgrade::run(&pg, &out, options.full, &options.chosen, tally),
            ("docs", Some(server)) => doc_blocks::run(&pg, server, &out.join("docs"), tally),
            ("mermaid", Some(server)) => mermaid::run(server, &out, tally),
            ("executor", Some(server)) => {
                let groups = if options.full { "500" } else { "50" };
                examples::executor(server, server.env(), &out, groups, tally)
            }
            ("drivers", Some(server)) => drivers::run(&pg, server, &out, options.full, tally),
            ("races", _) => {
                let quick: &[&str] = if options.full { &[] } else { &["--quick"] };
                proof(
                    &pg,
                    &out,
                    tally,
                    ("races", "races"),
                    &[&["--installed"], quick].concat(),
                )
            }
            ("stress", _) => {
                let much = if options.full {
                    FULL_STRESS
                } else {
                    SLICE_OF_STRESS
                };
                proof(
                    &pg,
                    &out,
                    tally,
                    ("stress", "stress"),
                    &[&["--installed"], much].concat(),
                )
            }
            ("backup", _) => backup::run(&pg, &out, options.full, options.chosen.bless, tally),
            ("failover", _) => {
                let quick: &[&str] = if options.full { &[] } else { &["--quick"] };
                let args = [&["failover", "--installed"], quick].concat();
                proof(&pg, &out, tally, ("failover", "durability"), &args)
            }
            ("crash", _) => {
                let quick: &[&str] = if options.full { &[] } else { &["--quick"] };
                let args = [&["crash", "disk", "half", "--installed"], quick].concat();
                proof(&pg, &out, tally, ("crash", "durability"), &args)
            }
            ("bugs", _) => seeded_bugs::all(tally),
            _ => bail!("step {step} is not wired"),
        };
        if let Err(error) = done {
            tally.failed(step, &format!("{error:#}"));
        }
        if let Some(server) = &server {
            let crashes = crashes(server);
            if !crashes.is_empty() {
                tally.failed(&format!("{step}: no backend ends by a signal"), &crashes);
            }
        }
        if !tally.failures().is_empty() {
            let at = STEPS
                .iter()
                .position(|(name, _)| *name == step)
                .unwrap_or_default();
            let left: Vec<&str> = STEPS[at + 1..]
                .iter()
                .map(|(name, _)| *name)
                .filter(|s| wanted(options, s))
                .collect();
            if !left.is_empty() {
                println!("not run: {}", left.join(", "));
            }
            break;
        }
    }
    Ok(())
}

/// What is durable is tested elsewhere, with crashes; here a flush only costs time. Without autovacuum the
/// same test sees the same server every time.
pub const SERVER: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("autovacuum", "off"),
    ("max_prepared_transactions", "10"),
    ("log_statement", "all"),
    // The tests' tables are never analyzed, and the guesses make every small query worth compiling: 0.2 s each.
    ("jit", "off"),
];

/// What the server's log says about backends that did not end by themselves.
fn crashes(server: &Cluster) -> String {
    let log = fs::read(server.log()).unwrap_or_default();
    String::from_utf8_lossy(&log)
        .lines()
        .filter(|line| line.contains("terminated by signal") || line.contains("PANIC:"))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// A step is run when it is asked for, or when one that is asked for stands on it.
fn wanted(options: &Options, step: &str) -> bool {
    (options.only.is_empty() && (options.full || step != FULL_ONLY))
        || options.only.contains(step)
        || (step == "install"
            && NEED_SERVER
                .iter()
                .chain(NEED_INSTALL)
                .any(|s| options.only.contains(*s)))
}

fn fmt(pg: &Pg, out: &Path, tally: &mut Tally) -> Result<()> {
    cargo(pg, out, tally, "fmt", &["fmt", "--all", "--check"])
}

fn clippy(pg: &Pg, out: &Path, tally: &mut Tally) -> Result<()> {
    let features = test_features(pg);
    let extension = [
        "clippy",
        "--package=pg_baton",
        "--release",
        "--all-targets",
        "--no-default-features",
    ];
    let extension = [
        &extension[..],
        &["--features", &features, "--", "-D", "warnings"],
    ]
    .concat();
    cargo(pg, out, tally, "clippy pg_baton", &extension)?;
    let rest = [
        "clippy",
        "--workspace",
        "--exclude=pg_baton",
        "--profile=proof",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    cargo(pg, out, tally, "clippy of the programs", &rest)
}

fn unit(pg: &Pg, out: &Path, tally: &mut Tally) -> Result<()> {
    cargo(pg, out, tally, "xtask", &["test", "--package=xtask"])?;
    let programs = [
        "test",
        "--profile=proof",
        "--package=stress",
        "--package=model-check",
        "--package=durability",
    ];
    cargo(pg, out, tally, "checkers", &programs)?;
    let features = test_features(pg);
    let tests = [
        "test",
        "--package=pg_baton",
        "--release",
        "--no-default-features",
        "--features",
        &features,
    ];
    for name in unit_tests()? {
        let one = [&tests[..], &["--test", &name]].concat();
        cargo(pg, out, tally, &name, &one)?;
    }
    Ok(())
}

/// The files right in tests/ are plain Rust tests; none of them needs a server.
fn unit_tests() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(setup::root().join("tests"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "rs")
            && let Some(stem) = path.file_stem().and_then(|s| s.to_str())
        {
            names.insert(stem.to_string());
        }
    }
    Ok(names)
}

fn pgrx(pg: &Pg, out: &Path, tally: &mut Tally) -> Result<()> {
    let features = test_features(pg);
    let data = std::env::temp_dir().join(format!("pg_baton-pgrx-{}", std::process::id()));
    let data_dir = data.display().to_string();
    let feature = pg.feature();
    let mut args = vec![
        "pgrx",
        "test",
        "--release",
        "--no-default-features",
        "--features",
        &features,
    ];
    args.extend(["--pgdata", &data_dir]);
    if setup::is_root() {
        args.extend(["--runas", "postgres"]);
    }
    // The name of a test goes to `cargo test` as it is. `--tests` leaves out the doc tests, and with thin
    // LTO it needs the same build of pgrx as the unit step; `--lib` alone would compile it once more.
    args.extend([feature.as_str(), "--", "--tests"]);
    let done = cargo(pg, out, tally, "pgrx", &args);
    let _ = fs::remove_dir_all(data);
    done
}

/// Runs one of the programs that prove something, and counts what it reports in its last line.
/// `name` is how it is called here: a program may prove several things.
fn proof(
    pg: &Pg,
    out: &Path,
    tally: &mut Tally,
    (name, program): (&str, &str),
    args: &[&str],
) -> Result<()> {
    let begun = Instant::now();
    let mut command: Command = pg.cargo();
    command
        .args([
            "run",
            "--quiet",
            "--profile=proof",
            "--package",
            program,
            "--",
        ])
        .args(args);
    let finished = process::run(&mut command, &out.join(format!("{name}.log")), PROOF_LIMIT)?;
    for line in finished
        .output
        .lines()
        .filter(|line| finished.success && (line.contains("seed ") || line.contains("left out")))
    {
        println!("    {line}");
    }
    count(name, &finished, begun.elapsed(), tally);
    Ok(())
}

/// Counts what a program reports in its last line.
fn count(program: &str, finished: &Finished, took: Duration, tally: &mut Tally) {
    let last = finished
        .output
        .trim_end()
        .lines()
        .next_back()
        .unwrap_or_default();
    let passed = last
        .strip_suffix(" passed, 0 failed")
        .and_then(|count| count.parse::<usize>().ok())
        .filter(|count| finished.success && *count > 0);
    let Some(count) = passed else {
        tally.failed(
            program,
            &format!("{}\n{}", finished.ending, finished.output),
        );
        return;
    };
    tally.passed_many(count - 1);
    tally.passed(&format!("{program}: {count} passed"), took);
}

fn test_features(pg: &Pg) -> String {
    format!("{} pg_test", pg.feature())
}

/// Runs cargo and counts the tests it reports, or itself as one.
fn cargo(pg: &Pg, out: &Path, tally: &mut Tally, label: &str, args: &[&str]) -> Result<()> {
    let begun = Instant::now();
    let mut command: Command = pg.cargo();
    command
        .args(args)
        .env("CARGO_TERM_COLOR", "never")
        // rustfmt asks the terminal only.
        .env("TERM", "dumb")
        // A test says in words what is wrong; where the test harness was called from helps nobody.
        .env("RUST_BACKTRACE", "0");
    let log = out.join(format!("{}.log", label.replace(' ', "-")));
    let finished = process::run(&mut command, &log, BUILD_LIMIT)?;
    if !finished.success {
        let why = format!(
            "cargo {}: {}\n{}",
            args.join(" "),
            finished.ending,
            essence(&finished.output)
        );
        tally.failed(label, &why);
        return Ok(());
    }
    match tests_passed(&finished.output) {
        None => tally.passed(label, begun.elapsed()),
        Some(0) => tally.failed(label, "there is not a single test"),
        Some(count) => {
            tally.passed_many(count - 1);
            tally.passed(&format!("{label}: {count} tests"), begun.elapsed());
        }
    }
    Ok(())
}

/// The sum of `test result: ok. N passed; …`, if there is such a line. Where the tests in `src/` are among
/// them, only these count: the files in `tests/` have been counted before.
fn tests_passed(output: &str) -> Option<usize> {
    let output = match output.split_once("Running unittests src/lib.rs") {
        Some((_, rest)) => rest
            .split("\n     Running tests/")
            .next()
            .unwrap_or_default(),
        None => output,
    };
    output
        .lines()
        .filter_map(|line| line.strip_prefix("test result: ok. "))
        .map(|rest| {
            rest.split(' ')
                .next()
                .and_then(|n| n.parse::<usize>().ok())
                .unwrap_or(0)
        })
        .reduce(|all, more| all + more)
}

/// What cargo printed, less what nobody looks for: that it was busy, that tests passed, colours, and, if the
/// build is not what failed, the build.
fn essence(output: &str) -> String {
    const BUSY: [&str; 6] = [
        "Compiling ",
        "Checking ",
        "Downloaded ",
        "Downloading ",
        "Locking ",
        "Blocking ",
    ];
    let from = output.find("\n     Running ").map_or(0, |at| at + 1);
    output[from..]
        .lines()
        .filter(|line| !BUSY.iter().any(|word| line.trim_start().starts_with(word)))
        .filter(|line| !line.ends_with(" ... ok"))
        .fold(String::new(), |all, line| {
            all + &without_colours(line) + "\n"
        })
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |all, part| {
        all + part.split_once('m').map_or(part, |(_, text)| text)
    })
}

fn demos(tally: &mut Tally) -> Result<()> {
    timed(tally, "demo", || {
        demo::run(&["--files".into(), DEMO_FILES.into()])
    })?;
    // The first demo has installed psycopg where that is possible.
    if doc_blocks::python().is_none() {
        println!("    left out, no Python with psycopg: demo workflow, demo saga");
        return Ok(());
    }
    timed(tally, "demo workflow", || {
        demo::run(&["workflow", "--files", WORKFLOW_FILES].map(String::from))
    })?;
    timed(tally, "demo saga", || demo::run(&["saga".into()]))
}

fn timed(tally: &mut Tally, label: &str, act: impl FnOnce() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    act()?;
    tally.passed(label, begun.elapsed());
    Ok(())
}

fn announce(step: &str, what: &str) {
    println!("==> {step}: {what}");
    let _ = std::io::stdout().flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_over_all_binaries() {
        let output = "x\ntest result: ok. 3 passed; 0 failed; 0 ignored\ny\ntest result: ok. 4 passed; 0 failed\n";
        assert_eq!(tests_passed(output), Some(7));
        assert_eq!(tests_passed("Finished"), None);
        let lib = "     Running unittests src/lib.rs (a)\ntest result: ok. 3 passed; 0 failed\n";
        let model = "     Running tests/model.rs (b)\ntest result: ok. 5 passed; 0 failed\n";
        assert_eq!(tests_passed(&format!("{lib}{model}")), Some(3));
    }

    #[test]
    fn a_failure_shows_what_failed() {
        let output = "   Compiling x\nwarning: y\n     Running unittests\ntest a ... ok\ntest b ... \u{1b}[31mFAILED\u{1b}[0m\n";
        assert_eq!(
            essence(output),
            "     Running unittests\ntest b ... FAILED\n"
        );
        assert_eq!(essence("   Compiling x\nerror: y\n"), "error: y\n");
    }

    #[test]
    fn a_step_brings_what_it_stands_on() {
        let options = options(&["--only".into(), "regress".into(), "task_create".into()]).unwrap();
        assert!(
            wanted(&options, "install")
                && wanted(&options, "regress")
                && !wanted(&options, "clippy")
        );
        assert_eq!(options.chosen.tests, ["task_create"]);
    }

    #[test]
    fn versions_are_listed_or_all() {
        let versions = |of: &str| options(&["--pg".into(), of.into()]).map(|o| o.versions);
        assert_eq!(versions("all").unwrap(), [15, 16, 17, 18]);
        assert_eq!(versions("18,15").unwrap(), [18, 15]);
        assert!(versions("").is_err());
    }

    #[test]
    fn an_unknown_step_is_refused() {
        assert!(super::options(&["--only".into(), "nothing".into()]).is_err());
    }
}
