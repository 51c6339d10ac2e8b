//! Runs PostgreSQL's own test drivers, `pg_regress` and `pg_isolation_regress`, one file at a time.
//!
//! One file at a time and never two at once, because "which task is found" may depend on any transaction
//! that is open in the cluster; in a database made for that file alone, a copy of one with the extension in
//! it, because a test that needs its neighbour is two tests in one. See tests/README.md for how to write one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::process::{self, Finished};
use super::tally::Tally;
use crate::cluster::{Cluster, TEMPLATE};
use crate::setup::{self, Pg};

/// No test waits longer than this for anything.
const LIMIT: Duration = Duration::from_secs(120);

/// A driver: what it is called, where its input lies and what the input's names end in.
struct Driver {
    name: &'static str,
    program: &'static str,
    tests: &'static str,
    inputs: &'static str,
    extension: &'static str,
    database: &'static str,
}

const REGRESS: Driver = Driver {
    name: "regress",
    program: "pgxs/src/test/regress/pg_regress",
    tests: "tests/pg_regress",
    inputs: "sql",
    extension: "sql",
    database: "regression",
};

const ISOLATION: Driver = Driver {
    name: "isolation",
    program: "pgxs/src/test/isolation/pg_isolation_regress",
    tests: "tests/isolation",
    inputs: "specs",
    extension: "spec",
    database: "isolation_regression",
};

/// Like [`REGRESS`], in databases of an earlier release, which these tests upgrade on the way.
const UPGRADE: Driver = Driver {
    name: "upgrade",
    program: REGRESS.program,
    tests: "tests/upgrade",
    inputs: "sql",
    extension: "sql",
    database: "upgrade_regression",
};

/// psql as these tests see it: every error with its SQLSTATE, none with the line of C or Rust that raised
/// it, which every edit would move. DETAIL and HINT are there in any case.
const LAUNCHER: &str = r#"#!/bin/sh
"$@" -v VERBOSITY=verbose -v SHOW_CONTEXT=never 2>&1 | sed '/^LOCATION:  /d'
"#;

pub fn regress(
    pg: &Pg,
    cluster: &Cluster,
    out: &Path,
    chosen: &Chosen,
    tally: &mut Tally,
) -> Result<()> {
    run(&REGRESS, pg, cluster, out, chosen, tally)
}

pub fn isolation(
    pg: &Pg,
    cluster: &Cluster,
    out: &Path,
    chosen: &Chosen,
    tally: &mut Tally,
) -> Result<()> {
    run(&ISOLATION, pg, cluster, out, chosen, tally)
}

pub fn upgrade(
    pg: &Pg,
    cluster: &Cluster,
    out: &Path,
    chosen: &Chosen,
    tally: &mut Tally,
) -> Result<()> {
    run(&UPGRADE, pg, cluster, out, chosen, tally)
}

/// Which tests are run and whether what they print is kept as expected from now on.
#[derive(Default)]
pub struct Chosen {
    /// Names of tests; all of them when empty.
    pub tests: Vec<String>,
    pub bless: bool,
}

impl Chosen {
    /// A name that is nobody's must not pass as "nothing failed".
    pub fn validate(&self) -> Result<()> {
        for test in &self.tests {
            let there = [&REGRESS, &ISOLATION, &UPGRADE].iter().any(|driver| {
                let inputs = setup::root().join(driver.tests).join(driver.inputs);
                inputs
                    .join(format!("{test}.{}", driver.extension))
                    .is_file()
            });
            ensure!(there, "there is no test {test}");
        }
        Ok(())
    }
}

fn run(
    driver: &Driver,
    pg: &Pg,
    cluster: &Cluster,
    out: &Path,
    chosen: &Chosen,
    tally: &mut Tally,
) -> Result<()> {
    let tests = setup::root().join(driver.tests);
    let names = driver.names()?;
    let expected = names_in(&tests.join("expected"), "out").unwrap_or_default();
    let out = out.join(driver.name);
    let _ = fs::remove_dir_all(&out);

    for left_over in expected
        .iter()
        .filter(|e| !names.iter().any(|n| is_output_of(e, n)))
    {
        tally.failed(
            &format!("{} {left_over}", driver.name),
            &format!("expected/{left_over}.out belongs to no test"),
        );
    }

    for name in names
        .iter()
        .filter(|n| chosen.tests.is_empty() || chosen.tests.contains(n))
    {
        let begun = Instant::now();
        let dir = out.join(name);
        let finished = driver.test(pg, cluster, &dir, name)?;

        let label = format!("{} {name}", driver.name);
        let actual = results(&dir, name);
        let kept = tests.join("expected").join(format!("{name}.out"));
        if finished.success {
            tally.passed(&label, begun.elapsed());
        } else if chosen.bless && actual.exists() && !finished.timed_out {
            fs::create_dir_all(tests.join("expected"))?;
            fs::copy(&actual, &kept)?;
            tally.passed(
                &format!("{label}: what it printed is now expected"),
                begun.elapsed(),
            );
        } else if !kept.exists() && !finished.timed_out {
            let printed = fs::read_to_string(&actual).unwrap_or(finished.output);
            tally.failed(
                &label,
                &format!(
                    "{}/expected/{name}.out does not exist. The test printed:\n{printed}\n\
                     If that is right, `cargo verify -- --bless` keeps it.",
                    driver.tests
                ),
            );
        } else {
            tally.failed(&label, &reason(&dir, name, &finished));
        }
    }
    Ok(())
}

/// The drivers, by name.
pub const DRIVERS: [&str; 2] = [REGRESS.name, ISOLATION.name];

fn driver(name: &str) -> Result<&'static Driver> {
    [&REGRESS, &ISOLATION]
        .into_iter()
        .find(|driver| driver.name == name)
        .with_context(|| format!("there is no driver {name}"))
}

/// All tests of a driver.
pub fn names(driver_name: &str) -> Result<BTreeSet<String>> {
    driver(driver_name)?.names()
}

/// Runs one test; why it failed, if it did.
pub fn one(
    pg: &Pg,
    cluster: &Cluster,
    out: &Path,
    driver_name: &str,
    name: &str,
) -> Result<Option<String>> {
    let dir = out.join(driver_name).join(name);
    let _ = fs::remove_dir_all(&dir);
    let finished = driver(driver_name)?.test(pg, cluster, &dir, name)?;
    Ok((!finished.success).then(|| reason(&dir, name, &finished)))
}

impl Driver {
    fn names(&self) -> Result<BTreeSet<String>> {
        let inputs = setup::root().join(self.tests).join(self.inputs);
        let names = names_in(&inputs, self.extension)?;
        ensure!(
            !names.is_empty(),
            "there is no test in {}/{}",
            self.tests,
            self.inputs
        );
        Ok(names)
    }

    /// Runs one test in a fresh database; what it leaves behind is in `dir`.
    fn test(&self, pg: &Pg, cluster: &Cluster, dir: &Path, name: &str) -> Result<Finished> {
        let program = pg.pkglibdir.join(self.program);
        if !program.exists() {
            bail!(
                "{} is missing; it comes with the server's development package",
                program.display()
            );
        }
        let tests = setup::root().join(self.tests);
        fs::create_dir_all(dir)?;
        fresh(cluster, self)?;
        let mut command = Command::new(&program);
        command
            .current_dir(&tests)
            .arg(format!("--inputdir={}", tests.display()))
            .arg(format!("--outputdir={}", dir.display()))
            .arg(format!("--bindir={}", pg.bindir.display()))
            .arg(format!("--dbname={}", self.database))
            .arg("--use-existing")
            .envs(cluster.env());
        if self.program == REGRESS.program {
            let launcher = dir.join("launcher.sh");
            fs::write(&launcher, LAUNCHER)?;
            command.arg(format!("--launcher=sh \"{}\"", launcher.display()));
        }
        command.arg(name);
        process::run(&mut command, &dir.join("driver.log"), LIMIT)
    }
}

/// What a test printed.
fn results(dir: &Path, name: &str) -> PathBuf {
    dir.join("results").join(format!("{name}.out"))
}

/// Why a test failed.
fn reason(dir: &Path, name: &str, finished: &Finished) -> String {
    if !finished.timed_out {
        return differences(dir, finished);
    }
    let printed = fs::read_to_string(results(dir, name)).unwrap_or_default();
    format!("{}; until then it printed:\n{printed}", finished.ending)
}

/// The tests in a directory, by name, in order.
fn names_in(dir: &Path, extension: &str) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension)
            && let Some(stem) = path.file_stem().and_then(|s| s.to_str())
        {
            names.insert(stem.to_string());
        }
    }
    Ok(names)
}

/// `deadlock_1.out` is the second right answer of `deadlock`: the drivers accept any of them.
fn is_output_of(output: &str, test: &str) -> bool {
    output == test
        || output
            .strip_prefix(test)
            .and_then(|rest| rest.strip_prefix('_'))
            .is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The driver's database anew, and none of the roles that a test of either driver made.
fn fresh(cluster: &Cluster, driver: &Driver) -> Result<()> {
    for Driver { database, .. } in [&REGRESS, &ISOLATION, &UPGRADE] {
        cluster.psql(
            "postgres",
            &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"),
        )?;
    }
    cluster.psql(
        "postgres",
        "DO $$ DECLARE role text; BEGIN
           FOR role IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'regress\\_%' LOOP
             EXECUTE format('DROP ROLE %I', role);
           END LOOP;
         END $$",
    )?;
    cluster.fresh_database(driver.database, TEMPLATE)
}

fn differences(dir: &Path, finished: &Finished) -> String {
    let diffs = fs::read_to_string(dir.join("regression.diffs")).unwrap_or_default();
    if diffs.trim().is_empty() {
        format!("{}\n{}", finished.output, finished.ending)
    } else {
        diffs
    }
}
