//! What was released stays as it was: the scripts that made the databases that are out there, and the way from each of them to here.
//! That the way leads here is for the step `upgrade` of `cargo verify` to say, which needs a server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// The released scripts with their checksums, as `sha256sum` writes and checks them.
const LIST: &str = "tests/upgrade/released.sha256";

#[test]
fn a_released_script_is_never_edited() {
    for (path, checksum) in released() {
        let bytes = fs::read(root().join(&path))
            .unwrap_or_else(|error| panic!("{path} was released and must stay: {error}"));
        let now: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            now, checksum,
            "{path} was released and must stay as it was: what is to change is done by the next upgrade script"
        );
    }
}

#[test]
fn every_release_is_in_the_list() {
    let frozen = install_scripts();
    let text = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let told: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(str::to_string)
        .collect();
    assert!(
        told.contains(&version()),
        "CHANGELOG.md has no heading for {}",
        version()
    );
    let earlier: BTreeSet<String> = told.into_iter().filter(|v| *v != version()).collect();
    let frozen_earlier: BTreeSet<String> = frozen
        .iter()
        .filter(|v| **v != version())
        .cloned()
        .collect();
    assert_eq!(
        frozen_earlier, earlier,
        "{LIST} has the install script of each version in CHANGELOG.md before this one, and of no other"
    );
    let list = released();
    for (from, to) in upgrade_scripts() {
        let path = format!("sql/pg_baton--{from}--{to}.sql");
        assert!(
            !frozen.contains(&to) || list.contains_key(&path),
            "{path} leads to a released version and is not in {LIST}"
        );
    }
    for entry in fs::read_dir(root().join("tests/upgrade")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            !name.starts_with("pg_baton--") || list.contains_key(&format!("tests/upgrade/{name}")),
            "tests/upgrade/{name} is not in {LIST}"
        );
    }
}

#[test]
fn there_is_a_way_from_every_release() {
    let steps = upgrade_scripts();
    for release in install_scripts() {
        let mut reached = BTreeSet::from([release.clone()]);
        while let Some((_, to)) = steps
            .iter()
            .find(|(from, to)| reached.contains(from) && !reached.contains(to))
        {
            reached.insert(to.clone());
        }
        assert!(
            reached.contains(&version()),
            "no upgrade script in sql/ leads from {release} to {}, the version in Cargo.toml",
            version()
        );
    }
}

/// Path and checksum of each released script.
fn released() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join(LIST)).unwrap();
    let list: BTreeMap<String, String> = text
        .lines()
        .map(|line| {
            let (checksum, path) = line
                .split_once("  ")
                .expect("a checksum, two spaces, a path");
            (path.to_string(), checksum.to_string())
        })
        .collect();
    assert!(
        list.contains_key("tests/upgrade/pg_baton--0.1.0.sql"),
        "{LIST} has lost the first release"
    );
    list
}

/// The versions whose install scripts are kept.
fn install_scripts() -> BTreeSet<String> {
    released()
        .keys()
        .filter_map(|path| {
            path.strip_prefix("tests/upgrade/pg_baton--")?
                .strip_suffix(".sql")
        })
        .map(str::to_string)
        .collect()
}

/// The upgrade scripts there are: from which version to which.
fn upgrade_scripts() -> BTreeSet<(String, String)> {
    fs::read_dir(root().join("sql"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| {
            let (from, to) = name
                .strip_prefix("pg_baton--")?
                .strip_suffix(".sql")?
                .split_once("--")?;
            Some((from.to_string(), to.to_string()))
        })
        .collect()
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_string()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
