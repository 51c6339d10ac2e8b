//! `cargo xtask freeze`: keeps the scripts of the version in Cargo.toml as they are released. From then on the tests hold them fast.

use std::fs;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::package::upgrades;
use crate::setup;

/// What was released, with checksums: see tests/released.rs.
const LIST: &str = "tests/upgrade/released.sha256";

pub fn run() -> Result<()> {
    let pg = setup::ensure()?;
    let root = setup::root();
    let version = version()?;
    let install = format!("tests/upgrade/pg_baton--{version}.sql");
    let mut list = fs::read_to_string(root.join(LIST))?;
    ensure!(
        !list.contains(&install),
        "{version} is released: its scripts stay as they are, and what comes next needs a greater version in Cargo.toml"
    );
    let mut generate = pg.cargo();
    generate
        .args(["pgrx", "schema", "--release", "--no-default-features"])
        .args(["--features", &pg.feature(), "--out", &install])
        .arg("--pg-config")
        .arg(&pg.pg_config);
    setup::run_quietly(&mut generate, "generating the install script")?;
    let leads_here = format!("--{version}.sql");
    let upgrades = upgrades()?
        .into_iter()
        .filter_map(|path| Some(format!("sql/{}", path.file_name()?.to_str()?)))
        .filter(|path| path.ends_with(&leads_here));
    for path in std::iter::once(install).chain(upgrades) {
        let bytes = fs::read(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
        let checksum = Sha256::digest(&bytes)
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        list += &format!("{checksum}  {path}\n");
        println!("{path}");
    }
    fs::write(root.join(LIST), list)?;
    Ok(())
}

fn version() -> Result<String> {
    let manifest = fs::read_to_string(setup::root().join("Cargo.toml"))?;
    manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .context("Cargo.toml says no version")
}
