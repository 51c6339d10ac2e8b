//! META.json, by which PGXN knows the distribution, against the PGXN Meta Spec 1.0.0: what it requires, and that it says what is here.

use serde_json::Value;
use xtask::setup::root;

const LICENSES: [&str; 23] = [
    "agpl_3",
    "apache_1_1",
    "apache_2_0",
    "artistic_1",
    "artistic_2",
    "bsd",
    "freebsd",
    "gfdl_1_2",
    "gfdl_1_3",
    "gpl_1",
    "gpl_2",
    "gpl_3",
    "lgpl_2_1",
    "lgpl_3_0",
    "mit",
    "mozilla_1_0",
    "mozilla_1_1",
    "openssl",
    "perl_5",
    "postgresql",
    "qpl_1_0",
    "ssleay",
    "sun",
];
const PHASES: [&str; 5] = ["configure", "build", "test", "runtime", "develop"];
const RELATIONSHIPS: [&str; 4] = ["requires", "recommends", "suggests", "conflicts"];
const KEYS: [&str; 14] = [
    "abstract",
    "maintainer",
    "license",
    "provides",
    "version",
    "name",
    "meta-spec",
    "description",
    "generated_by",
    "no_index",
    "prereqs",
    "release_status",
    "resources",
    "tags",
];

#[test]
fn it_has_what_pgxn_requires() {
    let meta = meta();
    for key in meta.as_object().expect("an object").keys() {
        assert!(KEYS.contains(&key.as_str()), "the spec has no {key}");
    }
    for key in ["abstract", "maintainer", "license", "name", "version"] {
        assert!(!text(&meta, key).is_empty());
    }
    let name = text(&meta, "name");
    assert!(
        name.len() >= 2 && !name.contains(['/', '\\', '\0']) && !name.contains(char::is_control)
    );
    assert!(LICENSES.contains(&text(&meta, "license")));
    assert!(["stable", "testing", "unstable"].contains(&text(&meta, "release_status")));
    assert_eq!(text(&meta["meta-spec"], "version"), "1.0.0");
    assert_eq!(
        text(&meta["meta-spec"], "url"),
        "https://pgxn.org/meta/spec.txt"
    );
    for tag in meta["tags"].as_array().expect("an array of tags") {
        let tag = tag.as_str().expect("a tag is a text");
        assert!((1..256).contains(&tag.len()) && !tag.contains(['/', '\\']));
    }
    for (phase, prereqs) in meta["prereqs"].as_object().expect("prereqs") {
        assert!(PHASES.contains(&phase.as_str()), "{phase}");
        for (relationship, modules) in prereqs.as_object().expect("relationships") {
            assert!(
                RELATIONSHIPS.contains(&relationship.as_str()),
                "{relationship}"
            );
            for version in modules.as_object().expect("modules").values() {
                assert!(
                    is_version(version.as_str().expect("a version")),
                    "{version}"
                );
            }
        }
    }
}

#[test]
fn it_says_what_is_here() {
    let meta = meta();
    let manifest = read("Cargo.toml");
    let of_manifest = |key: &str| {
        let line = manifest
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
        line.and_then(|rest| rest.strip_suffix('"'))
            .expect("a key of Cargo.toml")
            .to_string()
    };
    assert_eq!(text(&meta, "name"), of_manifest("name"));
    assert_eq!(text(&meta, "version"), of_manifest("version"));
    assert_eq!(
        text(&meta, "license"),
        of_manifest("license").to_lowercase()
    );
    let provides = meta["provides"].as_object().expect("provides");
    assert_eq!(provides.keys().collect::<Vec<_>>(), ["pg_baton"]);
    for (extension, provided) in provides {
        assert!(root().join(format!("{extension}.control")).is_file());
        assert_eq!(text(provided, "version"), text(&meta, "version"));
        for file in ["file", "docfile"] {
            let file = text(provided, file);
            assert!(root().join(file).is_file(), "there is no {file}");
        }
    }
    let oldest = manifest
        .lines()
        .filter_map(|line| {
            line.strip_prefix("pg")?
                .split_once(" = [")?
                .0
                .parse::<u32>()
                .ok()
        })
        .min();
    let server = text(&meta["prereqs"]["runtime"]["requires"], "PostgreSQL");
    assert_eq!(
        Some(server),
        oldest.map(|oldest| format!("{oldest}.0.0")).as_deref()
    );
}

/// Three numbers, none with a zero before it, and what is not released yet after them.
fn is_version(version: &str) -> bool {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| {
        part.parse::<u64>()
            .is_ok_and(|number| number.to_string() == part)
    };
    release.split('.').count() == 3 && release.split('.').all(is_number)
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} is no text"))
}

fn meta() -> Value {
    serde_json::from_str(&read("META.json")).expect("META.json is JSON")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}
