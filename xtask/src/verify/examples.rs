//! The examples that say themselves whether what they show has held.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::process;
use super::tally::Tally;
use crate::cluster::{Cluster, TEMPLATE};
use crate::{doc_blocks, setup};

const DATABASE: &str = "examples";

/// A full run takes ten seconds on two cores.
const LIMIT: Duration = Duration::from_secs(3 * 60);

/// The executor of race R2, with so many groups: it fails unless each of them has one successor, and one call was told so.
/// Its connections are made as `reach` says: to the server, or to a pooler before it.
pub fn executor(
    cluster: &Cluster,
    reach: Vec<(&str, String)>,
    out: &Path,
    groups: &str,
    tally: &mut Tally,
) -> Result<()> {
    let label = "examples/executor.py";
    let Some(mut python) = doc_blocks::python() else {
        println!("    left out, no Python with psycopg: {label}");
        return Ok(());
    };
    cluster.fresh_database(DATABASE, TEMPLATE)?;
    python
        .arg(setup::root().join(label))
        .args(["--groups", groups])
        .envs(reach)
        .env("PGDATABASE", DATABASE);
    let begun = Instant::now();
    let finished = process::run(&mut python, &out.join("executor.log"), LIMIT)?;
    if finished.success {
        let told = finished.output.trim_end().lines().next_back();
        tally.passed(
            &format!("{label}: {}", told.unwrap_or_default()),
            begun.elapsed(),
        );
    } else {
        let why = format!("{}\n{}", finished.ending, finished.output);
        tally.failed(label, &why);
    }
    Ok(())
}
