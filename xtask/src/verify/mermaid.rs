//! Lets Mermaid itself read and draw the graphs of real runs: see tests/mermaid.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process;
use super::tally::Tally;
use crate::cluster::{Cluster, TEMPLATE};
use crate::setup::{self, output, run_quietly};

const DATABASE: &str = "mermaid";

/// It takes 5 s.
const LIMIT: Duration = Duration::from_secs(90);

/// Without Node nothing is drawn, and that is said; the rest is tested in tests/model.rs and tests/pg_regress.
pub fn run(cluster: &Cluster, out: &Path, tally: &mut Tally) -> Result<()> {
    let tests = setup::root().join("tests/mermaid");
    if let Err(error) = packages(&tests) {
        println!("    left out: {error:#}");
        return Ok(());
    }
    let begun = Instant::now();
    cluster.fresh_database(DATABASE, TEMPLATE)?;
    let runs = fs::read_to_string(tests.join("runs.sql"))?;
    let graphs = out.join("mermaid.json");
    fs::write(&graphs, cluster.psql(DATABASE, &runs)?)?;
    let mut parse = Command::new("node");
    parse.arg(tests.join("parse.mjs")).arg(&graphs);
    let finished = process::run(&mut parse, &out.join("mermaid.log"), LIMIT)?;
    super::count("mermaid", &finished, begun.elapsed(), tally);
    Ok(())
}

/// Mermaid and jsdom beside the test, where Node looks for them, in the versions that package.json names.
fn packages(tests: &Path) -> Result<()> {
    let version = output(Command::new("node").arg("--version"))?;
    let major = version.trim_start_matches('v').split('.').next();
    let major: u32 = major
        .unwrap_or_default()
        .parse()
        .context("node --version shows no number")?;
    ensure!(major >= 20, "node {version} is older than 20");
    if output(Command::new("npm").arg("ls").current_dir(tests)).is_ok() {
        return Ok(());
    }
    let mut install = Command::new("npm");
    install
        .args(["install", "--no-package-lock", "--no-audit", "--no-fund"])
        .arg("--ignore-scripts")
        .current_dir(tests);
    run_quietly(&mut install, "installing mermaid and jsdom")
}
