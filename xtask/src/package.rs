//! `cargo xtask package`: a Debian package of the extension for one PostgreSQL, named and laid out like those of Debian and of the
//! PostgreSQL project's own repository, made without debhelper.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use walkdir::WalkDir;

use crate::setup::{self, Pg, output, root, run_quietly, target_dir, which};

/// Of the packaging, for the same version of the extension.
const REVISION: u32 = 1;

/// The programs that make a package, and the packages they come in.
const PROGRAMS: [(&str, &str); 4] = [
    ("dpkg-deb", "dpkg"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("strip", "binutils"),
    ("gzip", "gzip"),
];

pub struct Package {
    pub file: PathBuf,
    pub name: String,
    /// Of the extension.
    pub version: String,
}

pub fn run(args: &[String]) -> Result<()> {
    let pg = match args {
        [] => setup::ensure()?,
        [option, version] if option == "--pg" => setup::ensure_version(
            version
                .parse()
                .with_context(|| format!("--pg takes a major version, not {version}"))?,
        )?,
        _ => bail!("cargo xtask package takes --pg VERSION, and nothing else"),
    };
    println!("{}", build(&pg)?.file.display());
    Ok(())
}

/// Fails if this machine cannot make packages, and says what it lacks.
pub fn possible() -> Result<()> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| which(Path::new(program)).is_none())
        .map(|(_, package)| *package)
        .collect();
    ensure!(
        missing.is_empty(),
        "a Debian package needs what is not on this machine: {}",
        missing.join(" ")
    );
    Ok(())
}

/// Builds the extension for this server, and the package, into target/package.
pub fn build(pg: &Pg) -> Result<Package> {
    possible()?;
    let home = target_dir().join("package");
    let built = home.join(pg.feature());
    compile(pg, &built)?;
    let name = format!("postgresql-{}-pg-baton", pg.version);
    let staged = home.join(&name);
    remove(&staged)?;

    let libraries = staged.join(format!("usr/lib/postgresql/{}/lib", pg.version));
    let extension = staged.join(format!("usr/share/postgresql/{}/extension", pg.version));
    let library = libraries.join("pg_baton.so");
    for file in files(&built)? {
        let name = file.file_name().context("a file has a name")?;
        let is_library = file.extension().is_some_and(|e| e == "so");
        let place = if is_library { &libraries } else { &extension }.join(name);
        write(&place, &fs::read(&file)?)?;
    }
    let mut strip = Command::new("strip");
    strip.args(["--strip-unneeded", "-R", ".comment", "-R", ".note"]);
    output(strip.arg(&library))?;

    let version = default_version(&extension.join("pg_baton.control"))?;
    let revision = format!("{version}-{REVISION}");
    let docs = staged.join("usr/share/doc").join(&name);
    let (maintainer, time) = (maintainer(), time());
    write(&docs.join("copyright"), copyright()?.as_bytes())?;
    let news = fs::read(root().join("CHANGELOG.md"))?;
    compress(&docs.join("changelog"), &news)?;
    let news = format!(
        "pg-baton ({revision}) unstable; urgency=medium\n\n  * What is new is in changelog.gz.\n\n -- {maintainer}  {}\n",
        output(Command::new("date").args(["-R", "-u", "-d", &format!("@{time}")]))?
    );
    compress(&docs.join("changelog.Debian"), news.as_bytes())?;

    let contents = files(&staged)?;
    let mut sums = Command::new("md5sum");
    let relative = |file: &PathBuf| file.strip_prefix(&staged).unwrap_or(file).to_path_buf();
    sums.args(contents.iter().map(relative))
        .current_dir(&staged);
    let sums = output(&mut sums)? + "\n";
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let control = fs::read_to_string(root().join("packaging/deb/control"))?
        .replace("@PG@", &pg.version.to_string())
        .replace("@VERSION@", &revision)
        .replace("@ARCHITECTURE@", &architecture)
        .replace("@SIZE@", &kilobytes(&contents)?.to_string())
        .replace("@LIBRARIES@", &needed_libraries(&home, &library)?)
        .replace("@MAINTAINER@", &maintainer);
    write(&staged.join("DEBIAN/md5sums"), sums.as_bytes())?;
    write(&staged.join("DEBIAN/control"), control.as_bytes())?;

    let file = home.join(format!("{name}_{revision}_{architecture}.deb"));
    let mut deb = Command::new("dpkg-deb");
    deb.args(["--root-owner-group", "--build"])
        .args([&staged, &file])
        .env("SOURCE_DATE_EPOCH", &time);
    output(&mut deb)?;
    remove(&staged)?;
    Ok(Package {
        file,
        name,
        version,
    })
}

/// The version that CREATE EXTENSION takes, by its control file.
pub fn default_version(control: &Path) -> Result<String> {
    let control = fs::read_to_string(control)?;
    let version = control
        .lines()
        .find_map(|line| line.strip_prefix("default_version = '"));
    let version = version.and_then(|rest| rest.strip_suffix('\''));
    Ok(version
        .context("pg_baton.control has no default_version")?
        .into())
}

/// The scripts from one version to another.
pub fn upgrades() -> Result<Vec<PathBuf>> {
    let mut upgrades = Vec::new();
    for entry in fs::read_dir(root().join("sql"))? {
        upgrades.push(entry?.path());
    }
    upgrades.retain(|path| path.extension().is_some_and(|e| e == "sql"));
    upgrades.sort();
    Ok(upgrades)
}

/// All files below a directory, in order.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(dir).sort_by_file_name() {
        let entry = entry?;
        if !entry.file_type().is_dir() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// What was there before may be of another version.
fn compile(pg: &Pg, built: &Path) -> Result<()> {
    remove(built)?;
    let mut package = pg.cargo();
    package
        .args(["pgrx", "package", "--no-default-features", "--features"])
        .arg(pg.feature())
        .arg("--pg-config")
        .arg(&pg.pg_config)
        .arg("--out-dir")
        .arg(built);
    run_quietly(&mut package, "cargo pgrx package")
}

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    Ok(())
}

/// Whoever builds the package signs it, as Debian's tools have it.
fn maintainer() -> String {
    let name = env::var("DEBFULLNAME").unwrap_or_else(|_| "The pg_baton authors".into());
    let mail = env::var("DEBEMAIL").unwrap_or_else(|_| "pg_baton@localhost".into());
    format!("{name} <{mail}>")
}

/// Of the last commit, so that the same source makes the same package; without a history, now.
fn time() -> String {
    let mut commit = Command::new("git");
    commit
        .args(["log", "-1", "--format=%ct"])
        .current_dir(root());
    env::var("SOURCE_DATE_EPOCH")
        .ok()
        .or_else(|| output(&mut commit).ok())
        .or_else(|| output(Command::new("date").arg("+%s")).ok())
        .unwrap_or_default()
}

/// The licence, in Debian's form: its lines begin with a space, and an empty one has a full stop.
fn copyright() -> Result<String> {
    let licence = fs::read_to_string(root().join("LICENSE"))?;
    let mut text = String::from(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: pg_baton\n\nFiles: *\n",
    );
    let (whose, terms): (Vec<&str>, Vec<&str>) = licence
        .lines()
        .partition(|line| line.starts_with("Copyright "));
    for line in whose {
        text += &format!("Copyright: {}\n", line.trim_start_matches("Copyright (c) "));
    }
    text += "License: PostgreSQL\n";
    for line in terms {
        text += &format!(" {}\n", if line.is_empty() { "." } else { line });
    }
    Ok(text)
}

/// The packages that hold what the library is linked to, in the versions it needs.
fn needed_libraries(home: &Path, library: &Path) -> Result<String> {
    // dpkg-shlibdeps looks for the source of a package, and this is all that it reads of it.
    let source = home.join("shlibdeps");
    write(
        &source.join("debian/control"),
        b"Source: pg-baton\n\nPackage: pg-baton\nArchitecture: any\n",
    )?;
    let mut look = Command::new("dpkg-shlibdeps");
    look.args(["-O", "--warnings=0"]) // the server's own symbols are in no library
        .arg(library)
        .current_dir(&source);
    let found = output(&mut look)?;
    remove(&source)?;
    let needed = found.strip_prefix("shlibs:Depends=");
    Ok(needed.context("dpkg-shlibdeps finds no library")?.into())
}

fn kilobytes(files: &[PathBuf]) -> Result<u64> {
    let mut sum = 0;
    for file in files {
        sum += file.metadata()?.len().div_ceil(1024);
    }
    Ok(sum)
}

fn compress(path: &Path, text: &[u8]) -> Result<()> {
    write(path, text)?;
    output(Command::new("gzip").args(["-9n", "-f"]).arg(path)).map(drop)
}

/// Readable for everybody, whatever our own umask is.
fn write(path: &Path, text: &[u8]) -> Result<()> {
    let dir = path.parent().context("a file has a directory")?;
    let new: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    for dir in new.into_iter().rev() {
        fs::create_dir(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    Ok(())
}
