//! `cargo seeded-bugs`: puts known bugs into a copy of the code, one at a time, and sees that the tests which
//! are there to catch them do. Each bug is a patch in tests/seeded_bugs; see its README.

pub mod patch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::cluster::{Cluster, TEMPLATE};
use crate::setup::{self, Pg};
use crate::verify::tally::Tally;
use crate::verify::{self, process, regress};
use patch::{Bug, Test};

/// Long enough to compile everything on two slow cores.
const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);

/// What a build does not look at.
const NOT_COPIED: [&str; 3] = ["target", ".git", "node_modules"];

#[derive(Default)]
struct Options {
    names: BTreeSet<String>,
    list: bool,
    all_tests: bool,
}

pub fn run(args: &[String]) -> Result<()> {
    let options = options(args)?;
    let bugs = bugs(&options.names)?;
    if options.list {
        list(&bugs);
        return Ok(());
    }
    let begun = Instant::now();
    let mut tally = Tally::default();
    if let Err(error) = seed(&bugs, options.all_tests, &mut tally) {
        tally.failed("seeded-bugs", &format!("{error:#}"));
    }
    tally.conclude(begun);
    Ok(())
}

/// All of them, as a step of `cargo verify -- --full`.
pub fn all(tally: &mut Tally) -> Result<()> {
    seed(&bugs(&BTreeSet::new())?, false, tally)
}

fn options(args: &[String]) -> Result<Options> {
    let mut options = Options::default();
    for arg in args {
        match arg.as_str() {
            "--list" => options.list = true,
            "--all-tests" => options.all_tests = true,
            name if !name.starts_with('-') => {
                options.names.insert(name.to_string());
            }
            other => bail!("unknown option {other}: use [NAME …], --list, --all-tests"),
        }
    }
    Ok(options)
}

/// The bugs of these names, or all of them.
fn bugs(names: &BTreeSet<String>) -> Result<BTreeMap<String, Bug>> {
    let dir = setup::root().join("tests/seeded_bugs");
    let mut bugs = BTreeMap::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "patch")
            && let Some(name) = path.file_stem().and_then(|s| s.to_str())
        {
            let bug = Bug::parse(&fs::read_to_string(&path)?)
                .map_err(|why| anyhow!("{}: {why}", path.display()))?;
            bugs.insert(name.to_string(), bug);
        }
    }
    for name in names {
        ensure!(bugs.contains_key(name), "there is no bug {name}");
    }
    bugs.retain(|name, _| names.is_empty() || names.contains(name));
    ensure!(!bugs.is_empty(), "there is no bug in {}", dir.display());
    Ok(bugs)
}

fn list(bugs: &BTreeMap<String, Bug>) {
    for (name, bug) in bugs {
        println!("{name}");
        println!("    {}", bug.what);
        println!("    stands for: {}", bug.stands_for);
        for test in &bug.caught_by {
            println!("    caught by: {test}");
        }
    }
    println!("{} bugs", bugs.len());
}

fn seed(bugs: &BTreeMap<String, Bug>, all_tests: bool, tally: &mut Tally) -> Result<()> {
    let bench = Bench::new(setup::ensure()?)?;
    let tests: Vec<Test> = if all_tests {
        every_test()?
    } else {
        let named: BTreeSet<&Test> = bugs.values().flat_map(|bug| &bug.caught_by).collect();
        named.into_iter().cloned().collect()
    };

    println!(
        "==> without a bug: what is to catch one passes, {} tests",
        tests.len()
    );
    let begun = Instant::now();
    let cluster = bench.server(&BTreeMap::new(), &[])?;
    let mut sound = true;
    for test in &tests {
        if let Some(why) = bench.run(&cluster, test)? {
            tally.failed(&format!("{test}, without a bug"), &why);
            sound = false;
        }
    }
    drop(cluster);
    if !sound {
        println!("not run: the bugs");
        return Ok(());
    }
    tally.passed("without a bug", begun.elapsed());

    println!("==> the bugs: each is caught, {} bugs", bugs.len());
    for (name, bug) in bugs {
        let begun = Instant::now();
        let label = format!("{name} ({})", bug.stands_for);
        match caught(&bench, bug, all_tests.then_some(&tests)) {
            Ok(verdict) if verdict.survived.is_empty() => {
                tally.passed(&format!("{label}: CAUGHT"), begun.elapsed());
                verdict.print();
            }
            Ok(verdict) => {
                verdict.print();
                tally.failed(
                    &format!("{label}: SURVIVED {}", verdict.survived.join(", ")),
                    "",
                );
            }
            Err(error) => tally.failed(&label, &format!("{error:#}")),
        }
    }
    Ok(())
}

/// What became of a bug.
#[derive(Default)]
struct Verdict {
    /// The tests that caught it, with the first line that differs.
    caught: Vec<(Test, String)>,
    /// The tests that are to catch it and did not.
    survived: Vec<String>,
}

impl Verdict {
    fn print(&self) {
        for (test, line) in &self.caught {
            println!("      | {test}: {line}");
        }
    }
}

/// Builds the code with the bug and runs the tests it names, or all there are.
fn caught(bench: &Bench, bug: &Bug, all: Option<&Vec<Test>>) -> Result<Verdict> {
    let mut patched = BTreeMap::new();
    for file in &bug.files {
        let text = fs::read_to_string(setup::root().join(&file.path))
            .with_context(|| format!("there is no {}", file.path))?;
        let text = file
            .apply(&text)
            .map_err(|why| anyhow!("the patch does not apply to {}: {why}", file.path))?;
        patched.insert(PathBuf::from(&file.path), text);
    }
    let cluster = bench.server(&patched, &bug.sql)?;
    let mut verdict = Verdict::default();
    for test in all.unwrap_or(&bug.caught_by) {
        match bench.run(&cluster, test)? {
            Some(why) => {
                let line = first_difference(&why);
                verdict.caught.push((test.clone(), line));
            }
            None if bug.caught_by.contains(test) => verdict.survived.push(test.to_string()),
            None => {}
        }
    }
    Ok(verdict)
}

fn every_test() -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for driver in regress::DRIVERS {
        for name in regress::names(driver)? {
            tests.push(Test {
                driver: driver.into(),
                name,
            });
        }
    }
    Ok(tests)
}

/// What was expected and what was printed instead, at the first place where they differ by more than the width of
/// a column; rather in an answer than in who waits for whom.
fn first_difference(why: &str) -> String {
    let Some((_, hunks)) = why.split_once("\n@@") else {
        return why.lines().next().unwrap_or_default().to_string();
    };
    let answers = |line: &str| !line[1..].starts_with("step ");
    difference(&[hunks], answers)
        .or_else(|| difference(&hunks.split("\n ").collect::<Vec<_>>(), answers))
        .or_else(|| difference(&[hunks], |_| true))
        .unwrap_or_else(|| "other columns".into())
}

/// The first lines that one side has and the other has not, within one of the parts.
fn difference(parts: &[&str], counts: impl Fn(&str) -> bool) -> Option<String> {
    let words = |line: &str| line[1..].replace([' ', '-', '+'], "");
    parts.iter().find_map(|part| {
        // Less the rest of the line that it was split in.
        let changed = |line: &&str| line.starts_with(['-', '+']) && counts(line);
        let lines = || part.lines().skip(1).filter(changed);
        let first = |sign: char, other: char| {
            lines().find(|line| {
                let known = |other: &str| words(other) == words(line);
                line.starts_with(sign)
                    && !words(line).is_empty()
                    && !lines().any(|l| l.starts_with(other) && known(l))
            })
        };
        let found = [first('-', '+'), first('+', '-')];
        let found: Vec<String> = found.into_iter().flatten().map(short).collect();
        (!found.is_empty()).then(|| found.join("  "))
    })
}

/// A line without the blanks that fill a column, and no longer than one can read.
fn short(line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(100) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Where the code is built and the tests are run.
struct Bench {
    pg: Pg,
    /// The copy of the code. It is kept, so that a build compiles what a bug changes and no more.
    tree: PathBuf,
    build: PathBuf,
    out: PathBuf,
}

impl Bench {
    fn new(pg: Pg) -> Result<Bench> {
        let home = setup::target_dir().join("seeded-bugs");
        let bench = Bench {
            pg,
            tree: home.join("tree"),
            build: home.join("build"),
            out: home.join("out"),
        };
        fs::create_dir_all(&bench.tree)?;
        fs::create_dir_all(&bench.out)?;
        Ok(bench)
    }

    /// A server with the code as it stands, but for the files that are patched.
    fn server(&self, patched: &BTreeMap<PathBuf, String>, sql: &[String]) -> Result<Cluster> {
        copy(&setup::root(), &self.tree, Path::new(""), patched)?;
        let library = self.library()?;
        let cluster =
            Cluster::start_with_library(&self.pg, "seeded-bugs", verify::SERVER, &library)?;
        cluster.make_template()?;
        for statement in sql {
            cluster.psql(TEMPLATE, statement)?;
        }
        Ok(cluster)
    }

    fn library(&self) -> Result<PathBuf> {
        let mut cargo = self.pg.cargo();
        cargo
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.build)
            .env("CARGO_TERM_COLOR", "never")
            // A release build but for what is compiled over and over where one line has changed.
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_RELEASE_LTO", "off");
        cargo.args(["build", "--package=pg_baton", "--lib", "--release"]);
        cargo.args(["--no-default-features", "--features", &self.pg.feature()]);
        let built = process::run(&mut cargo, &self.out.join("build.log"), BUILD_LIMIT)?;
        ensure!(
            built.success,
            "the build fails: {}\n{}",
            built.ending,
            built.output
        );
        ["so", "dylib"]
            .map(|suffix| {
                self.build
                    .join("release/libpg_baton")
                    .with_extension(suffix)
            })
            .into_iter()
            .find(|path| path.is_file())
            .context("the build leaves no library")
    }

    /// Why the test fails, if it does.
    fn run(&self, cluster: &Cluster, test: &Test) -> Result<Option<String>> {
        regress::one(&self.pg, cluster, &self.out, &test.driver, &test.name)
    }
}

/// Makes the copy's files what the code's are, patched; touches none that is right, or all would be built anew.
fn copy(from: &Path, to: &Path, dir: &Path, patched: &BTreeMap<PathBuf, String>) -> Result<()> {
    let mut names = BTreeSet::new();
    fs::create_dir_all(to.join(dir))?;
    for entry in fs::read_dir(from.join(dir))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = dir.join(&name);
        let source = from.join(&path);
        if NOT_COPIED.iter().any(|not| name == *not) || source == setup::target_dir() {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(from, to, &path, patched)?;
        } else {
            let wanted = match patched.get(&path) {
                Some(text) => text.clone().into_bytes(),
                None => fs::read(&source)?,
            };
            let target = to.join(&path);
            if fs::read(&target).ok().as_ref() != Some(&wanted) {
                fs::write(&target, wanted)?;
            }
        }
        names.insert(name);
    }
    for entry in fs::read_dir(to.join(dir))? {
        let entry = entry?;
        if names.contains(&entry.file_name()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "\
Nobody looks at the token.
Stands for: R3, a heartbeat without a fence
Caught by: regress task_heartbeat
SQL: DROP INDEX baton.task_key
--- a/sql/a.sql
+++ b/sql/a.sql
@@ -2,3 +2,2 @@
 b
-c
-d
+e
";

    #[test]
    fn a_bug_says_what_it_is() {
        let bug = Bug::parse(PATCH).unwrap();
        assert_eq!(bug.what, "Nobody looks at the token.");
        assert_eq!(bug.stands_for, "R3, a heartbeat without a fence");
        assert_eq!(bug.caught_by[0].to_string(), "regress task_heartbeat");
        assert_eq!(bug.sql, ["DROP INDEX baton.task_key"]);
    }

    #[test]
    fn a_change_is_made_where_its_lines_are() {
        let bug = Bug::parse(PATCH).unwrap();
        let file = &bug.files[0];
        assert_eq!(file.path, "sql/a.sql");
        assert_eq!(file.apply("a\nb\nc\nd\nz\n").unwrap(), "a\nb\ne\nz\n");
        assert_eq!(file.apply("a\na\na\nb\nc\nd\n").unwrap(), "a\na\na\nb\ne\n");
        assert!(file.apply("a\nb\nc\n").is_err());
        assert!(file.apply("").is_err());
    }

    #[test]
    fn a_bad_patch_is_refused() {
        let refused = |from: &str, to: &str| Bug::parse(&PATCH.replace(from, to)).unwrap_err();
        assert!(refused("Nobody looks at the token.\n", "").contains("sentence"));
        assert!(
            refused("Stands for: R3, a heartbeat without a fence\n", "").contains("Stands for")
        );
        assert!(refused("Caught by: regress", "Caught by: nobody").contains("nobody"));
        assert!(refused("+e\n", "").contains("not whole"));
        assert!(refused("-c\n", "c\n").contains("no line of a hunk"));
        assert!(refused("+++ b/sql/a.sql\n", "").contains("not followed"));
    }

    #[test]
    fn the_first_difference_is_told() {
        let diff = "diff -U3 x y\n--- x\n+++ y\n@@ -1,4 +1,4 @@\n a\n-word\n-----\n-lost\n+word    \n+--------\n+extended\n b\n";
        assert_eq!(first_difference(diff), "-lost  +extended");
        assert_eq!(first_difference("x\n@@ -1 +1,2 @@\n a\n+b\n+c\n"), "+b");
        let waits = "x\n@@ -1,5 +1,5 @@\n-step a: SELECT 1; <waiting ...>\n+step a: SELECT 1;\n --- no change\n-b\n+c\n";
        assert_eq!(first_difference(waits), "-b  +c");
        assert_eq!(
            first_difference(&waits.replace("-b\n+c\n", "")),
            "-step a: SELECT 1; <waiting ...>  +step a: SELECT 1;"
        );
        let moved = "x\n@@ -1,5 +1,5 @@\n-a\n-b\n c\n+b\n+ERROR\n+a\n";
        assert_eq!(first_difference(moved), "+ERROR");
        assert_eq!(first_difference(&moved.replace("+ERROR\n", "")), "-a");
        assert_eq!(first_difference("killed after 120 s"), "killed after 120 s");
    }
}
