//! pgspot reads the scripts that CREATE EXTENSION and ALTER EXTENSION UPDATE run as a superuser, and looks for what somebody else could
//! put in their way. What it says and may stand is in tests/pgspot/accepted.txt, with the reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::process;
use super::tally::Tally;
use crate::setup::{self, Pg};
use crate::{package, pypi};

const VERSION: &str = "0.9.4";

/// It takes half a second a script.
const LIMIT: Duration = Duration::from_secs(60);

/// What it must find in tests/pgspot/planted.sql, lest it has become blind.
const PLANTED: [&str; 2] = [
    "PS001: Unqualified operator: '=' in relnamespace = CAST('baton' AS pg_catalog.regnamespace)",
    "PS003: SECURITY DEFINER function without explicit search_path: baton.careless()",
];

/// Reads the install script as it is installed, and all upgrade scripts.
pub fn run(pg: &Pg, out: &Path, tally: &mut Tally) -> Result<()> {
    if let Err(error) = pypi::tool("pgspot", VERSION, "pgspot") {
        println!("    left out: {error:#}");
        return Ok(());
    }
    let begun = Instant::now();
    let tests = setup::root().join("tests/pgspot");
    let planted = findings(&[tests.join("planted.sql")], out)?;
    for planted_one in PLANTED {
        ensure!(
            planted.contains(planted_one),
            "pgspot does not see what was planted: {planted_one}\nit says {planted:#?}"
        );
    }
    let scripts = scripts(pg)?;
    let said = findings(&scripts, out)?;
    let accepted = accepted(&fs::read_to_string(tests.join("accepted.txt"))?)?;
    let mut wrong = String::new();
    for finding in said.difference(&accepted) {
        wrong += &format!("{finding}\n");
    }
    for stale in accepted.difference(&said) {
        wrong += &format!("accepted.txt has what pgspot does not say any more: {stale}\n");
    }
    if wrong.is_empty() {
        let what = format!("pgspot: {} scripts, {} accepted", scripts.len(), said.len());
        tally.passed(&what, begun.elapsed());
    } else {
        tally.failed("pgspot", &wrong);
    }
    Ok(())
}

/// The install script first: what it creates is ours in the upgrade scripts, too.
fn scripts(pg: &Pg) -> Result<Vec<PathBuf>> {
    let installed = pg.sharedir.join("extension");
    let version = package::default_version(&installed.join("pg_baton.control"))?;
    let mut scripts = vec![installed.join(format!("pg_baton--{version}.sql"))];
    scripts.extend(package::upgrades()?);
    Ok(scripts)
}

/// What it says, without the lines, which move. Of what it cannot read it says so in words of its own: these count, too.
fn findings(scripts: &[PathBuf], out: &Path) -> Result<BTreeSet<String>> {
    let mut pgspot = pypi::tool("pgspot", VERSION, "pgspot")?;
    pgspot.arg("--append").args(scripts);
    let said = process::run(&mut pgspot, &out.join("pgspot.log"), LIMIT)?;
    let found: BTreeSet<String> = said.output.lines().filter_map(finding).collect();
    ensure!(
        said.success == found.is_empty() && !said.timed_out,
        "{}\n{}",
        said.ending,
        said.output
    );
    Ok(found)
}

fn finding(line: &str) -> Option<String> {
    let line = line.trim();
    let is_frame = line.is_empty()
        || line.ends_with(".sql:")
        || line.starts_with("TOTAL:")
        || line.starts_with("Errors: ");
    let said = match line.rsplit_once(" at line ") {
        Some((said, number)) if number.bytes().all(|b| b.is_ascii_digit()) => said,
        _ => line,
    };
    (!is_frame).then(|| said.to_string())
}

/// The entries of accepted.txt, each of which has a reason below it.
fn accepted(text: &str) -> Result<BTreeSet<String>> {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .collect();
    let is_reason = |line: &str| line.starts_with(' ');
    for (at, line) in lines.iter().enumerate() {
        let reason = lines.get(at + 1).is_some_and(|below| is_reason(below));
        if !is_reason(line) && !reason {
            bail!("accepted.txt gives no reason for: {line}");
        }
    }
    let entries = lines.into_iter().filter(|line| !is_reason(line));
    Ok(entries.map(String::from).collect())
}

#[cfg(test)]
mod tests {
    use super::{accepted, finding};

    #[test]
    fn a_finding_is_what_is_said_of_something() {
        assert_eq!(
            finding("PS001: Unqualified operator: '=' in a = 1 at line 7").as_deref(),
            Some("PS001: Unqualified operator: '=' in a = 1")
        );
        assert_eq!(
            finding("syntax error at or near \"x\", at index 7").as_deref(),
            Some("syntax error at or near \"x\", at index 7")
        );
        for frame in [
            "",
            "/x/pg_baton--0.1.0--0.2.0.sql: ",
            " Errors: 1 Warnings: 0 Unknown: 0 ",
        ] {
            assert_eq!(finding(frame), None);
        }
    }

    #[test]
    fn what_is_accepted_has_a_reason() {
        let entries = accepted("# why\n\nPS005: a\n    It is so.\nPS016: b\n    So is it.\n");
        assert_eq!(entries.unwrap().len(), 2);
        assert!(accepted("PS005: a\nPS016: b\n    So is it.\n").is_err());
    }
}
