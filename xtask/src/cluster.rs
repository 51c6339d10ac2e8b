//! A private PostgreSQL server: its own data, a Unix socket and nothing else, gone when the
//! program that started it ends.

use crate::setup::{Pg, is_root, output, target_dir};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PORT: &str = "5432";
/// A socket's path, `/.s.PGSQL.5432` included, must fit into 107 bytes.
const LONGEST_SOCKET_DIR: usize = 107 - "/.s.PGSQL.5432".len();

/// The database with the extension in it that others are copies of: see [`Cluster::make_template`].
pub const TEMPLATE: &str = "with_pg_baton";

pub struct Cluster {
    bindir: PathBuf,
    dir: PathBuf,
    account: Account,
    conf: Vec<(String, String)>,
    server: Option<Child>,
    keep: bool,
    /// Held while this program uses the directory, so that two runs do not share a cluster.
    _lock: File,
}

/// How a server ends without having put anything in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    Kill,
    Immediate,
}

/// Where the installed build of the extension's library is.
pub fn installed_library(pg: &Pg) -> PathBuf {
    ["so", "dylib"]
        .map(|suffix| pg.pkglibdir.join("pg_baton").with_extension(suffix))
        .into_iter()
        .find(|path| path.is_file())
        .unwrap_or_default()
}

/// Who runs the server: `postgres` if we are root (it refuses to run as root), otherwise we do.
#[derive(Clone, Copy)]
struct Account(Option<(u32, u32)>);

impl Cluster {
    /// Makes a fresh cluster and starts it with the given settings.
    pub fn start(pg: &Pg, name: &str, conf: &[(&str, &str)]) -> Result<Cluster> {
        Cluster::start_with_library(pg, name, conf, &installed_library(pg))
    }

    /// The same, with this build of the extension's library instead of the installed one.
    pub fn start_with_library(
        pg: &Pg,
        name: &str,
        conf: &[(&str, &str)],
        library: &Path,
    ) -> Result<Cluster> {
        Cluster::start_with(pg, name, conf, library, Cluster::init)
    }

    /// Starts a cluster on data that `make` has put into its data directory.
    pub fn start_on(
        pg: &Pg,
        name: &str,
        conf: &[(&str, &str)],
        make: impl FnOnce(&Cluster) -> Result<()>,
    ) -> Result<Cluster> {
        Cluster::start_with(pg, name, conf, &installed_library(pg), make)
    }

    fn start_with(
        pg: &Pg,
        name: &str,
        conf: &[(&str, &str)],
        library: &Path,
        make: impl FnOnce(&Cluster) -> Result<()>,
    ) -> Result<Cluster> {
        let cluster = Cluster::empty(&pg.bindir, name, conf)?;
        cluster.copy_library(library)?;
        make(&cluster)?;
        cluster.launched()
    }

    /// A directory and what the server in it is to be like.
    fn empty(bindir: &Path, name: &str, conf: &[(&str, &str)]) -> Result<Cluster> {
        let account = Account::of_server()?;
        let home = target_dir().join("clusters");
        let lock = fs::create_dir_all(&home)
            .and_then(|()| File::create(home.join(format!("{name}.lock"))))
            .with_context(|| format!("cannot write to {}", home.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another run is using the cluster {name}"),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        Ok(Cluster {
            dir: fresh_dir(bindir, &home, name, account)?,
            bindir: bindir.to_path_buf(),
            account,
            conf: conf
                .iter()
                .map(|(n, v)| (n.to_string(), v.to_string()))
                .collect(),
            server: None,
            keep: false,
            _lock: lock,
        })
    }

    fn launched(mut self) -> Result<Cluster> {
        self.launch()?;
        Ok(self)
    }

    /// A base backup of this running server, with its library, as a cluster that does not run yet: see
    /// [`Cluster::recover`]. `arguments` are pg_basebackup's: `-R` makes it a standby of this one.
    pub fn backup(&self, name: &str, arguments: &[&str], conf: &[(&str, &str)]) -> Result<Cluster> {
        let copy = Cluster::empty(&self.bindir, name, conf)?;
        let mut backup = self.command("pg_basebackup");
        backup
            .envs(self.env())
            .args(["-c", "fast"])
            .args(arguments)
            .arg("-D")
            .arg(copy.data_dir());
        output(&mut backup)?;
        fs::create_dir(copy.library_dir())?;
        for library in fs::read_dir(self.library_dir())? {
            let library = library?;
            fs::copy(library.path(), copy.library_dir().join(library.file_name()))?;
        }
        Ok(copy)
    }

    /// Makes a former primary, which does not run, a standby of the one that was promoted: it goes back to where their
    /// histories part.
    pub fn rewind(&mut self, primary: &Cluster) -> Result<()> {
        // pg_rewind asks the control file, where the promotion does not stand before a checkpoint has ended; until then it finds
        // nothing to do.
        primary.psql("postgres", "CHECKPOINT")?;
        let mut rewind = self.command("pg_rewind");
        let source = format!(
            "host={} port={PORT} user=postgres dbname=postgres",
            primary.socket_dir().display()
        );
        rewind
            .arg("--target-pgdata")
            .arg(self.data_dir())
            .args(["-R", "--source-server", &source]);
        output(&mut rewind).map(drop)
    }

    /// Lets a standby become a primary.
    pub fn promote(&self) -> Result<()> {
        let mut promote = self.command("pg_ctl");
        promote
            .arg("-D")
            .arg(self.data_dir())
            .args(["-w", "promote"]);
        output(&mut promote).map(drop)
    }

    /// A server that is restored from a backup and the WAL of `source`, up to what `target` says (settings `recovery_target…`):
    /// it is promoted there.
    pub fn restore(&mut self, source: &Cluster, target: &[(&str, &str)]) -> Result<()> {
        let wal = source.data_dir().join("pg_wal");
        let command = format!("cp {}/%f %p", wal.display());
        let settings = [
            ("restore_command", command.as_str()),
            ("recovery_target_action", "promote"),
        ];
        self.conf.extend(
            settings
                .iter()
                .chain(target)
                .map(|(n, v)| (n.to_string(), v.to_string())),
        );
        fs::write(self.data_dir().join("recovery.signal"), "")?;
        self.recover()?;
        let begun = Instant::now();
        while self.psql("postgres", "SELECT pg_is_in_recovery()")? != "f" {
            ensure!(
                begun.elapsed() < Duration::from_secs(60),
                "the recovery does not reach its target"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Runs SQL and returns what it printed, unaligned and without headers.
    pub fn psql(&self, db: &str, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.bindir.join("psql"));
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", db, "-f", "-"])
            .envs(self.env());
        psql.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = psql.spawn().context("cannot run psql")?;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let text = sql.to_owned();
        // From a thread of its own: psql may print much before it has read everything.
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let out = child.wait_with_output()?;
        let _ = writer.join(); // a psql that stopped early says why itself
        if !out.status.success() {
            let head: String = sql.chars().take(300).collect();
            bail!(
                "{}\nin: {head}",
                String::from_utf8_lossy(&out.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&out.stdout)
            .trim_end_matches('\n')
            .to_owned())
    }

    /// Makes the database that tests get a copy of, so that they neither wait for CREATE EXTENSION nor see
    /// what somebody else installs meanwhile.
    pub fn make_template(&self) -> Result<()> {
        self.fresh_database(TEMPLATE, "template0")?;
        self.psql(TEMPLATE, "CREATE EXTENSION pg_baton")?;
        Ok(())
    }

    /// Makes a database anew: a copy of `TEMPLATE`, or of `template0` where nothing is to be in it.
    pub fn fresh_database(&self, name: &str, template: &str) -> Result<()> {
        let anew = format!(
            "DROP DATABASE IF EXISTS {name} WITH (FORCE);
             CREATE DATABASE {name} TEMPLATE {template}"
        );
        self.psql("postgres", &anew).map(drop)
    }

    /// Puts another build of the library in the place of the one that the server loads, as a package manager does: sessions that have
    /// loaded the old file keep it.
    pub fn replace_library(&self, library: &Path) -> Result<()> {
        let suffix = library.extension().unwrap_or_default();
        let place = self.library_dir().join("pg_baton").with_extension(suffix);
        let beside = self.library_dir().join("pg_baton.new");
        fs::copy(library, &beside).with_context(|| format!("cannot copy {}", library.display()))?;
        Ok(fs::rename(beside, place)?)
    }

    /// What a client needs in its environment to reach this cluster.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PGHOST", self.socket_dir().display().to_string()),
            ("PGPORT", PORT.to_owned()),
            ("PGUSER", "postgres".to_owned()),
        ]
    }

    /// A client's way to a database.
    pub fn client_config(&self, db: &str) -> Result<postgres::Config> {
        let mut config = postgres::Config::new();
        config.dbname(db);
        for (name, value) in self.env() {
            match name {
                "PGHOST" => config.host(&value),
                "PGPORT" => config.port(value.parse()?),
                _ => config.user(&value),
            };
        }
        Ok(config)
    }

    /// The server's log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Leaves the server running when this program ends.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// How to stop a server that was kept, as a line for a shell.
    pub fn stop_command(&self) -> String {
        let stop = format!(
            "{} -D {} -m fast stop",
            self.bindir.join("pg_ctl").display(),
            self.data_dir().display()
        );
        match self.account.0 {
            Some(_) => format!("sudo -u postgres {stop}"),
            None => stop,
        }
    }

    /// Stops the server; also done when the value is dropped.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        if server.try_wait()?.is_some() {
            return Ok(()); // a Ctrl-C at the terminal reaches the server too
        }
        let stopped = self.pg_ctl_stop("fast");
        if stopped.is_err() {
            server.kill()?;
        }
        server.wait()?;
        stopped
    }

    /// Ends the server without giving it time for anything: `kill -9` of its first process, or an immediate
    /// stop. [`Cluster::recover`] starts it again.
    pub fn crash(&mut self, how: Crash) -> Result<()> {
        let mut server = self.server.take().context("the server does not run")?;
        match how {
            Crash::Kill => server.kill()?,
            Crash::Immediate => self.pg_ctl_stop("immediate")?,
        }
        server.wait()?;
        // A process that is busy notices later that the first one is gone, and may commit until then. They all have its
        // output, to which nobody writes: it ends with the last of them.
        if let Some(mut output) = server.stdout.take() {
            output.read_to_end(&mut Vec::new())?;
        }
        Ok(())
    }

    /// Starts a server that has crashed or does not run yet, on the data that is there.
    pub fn recover(&mut self) -> Result<()> {
        let begun = Instant::now();
        // The processes of a killed server take a moment to see that it is gone; until then its successor
        // finds the shared memory in use.
        while let Err(error) = self.launch() {
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(error.context("the server does not come back"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The server's socket itself.
    pub fn socket(&self) -> PathBuf {
        self.socket_dir().join(format!(".s.PGSQL.{PORT}"))
    }

    /// An empty cluster.
    pub fn init(&self) -> Result<()> {
        let locale = output(Command::new("locale").arg("-a")).unwrap_or_default();
        let utf8 = locale
            .lines()
            .find(|l| l.eq_ignore_ascii_case("C.UTF-8") || l.eq_ignore_ascii_case("C.utf8"));
        let mut initdb = self.command("initdb");
        initdb.args(["-U", "postgres", "--auth=trust", "-E", "UTF8", "-N"]);
        initdb
            .arg(format!("--locale={}", utf8.unwrap_or("C")))
            .arg("-D")
            .arg(self.data_dir());
        output(&mut initdb)?;
        Ok(())
    }

    /// The server loads its own copy of the extension's library, so that installing another build
    /// meanwhile does not take it away from under the sessions that begin then.
    fn copy_library(&self, library: &Path) -> Result<()> {
        let copies = self.library_dir();
        fs::create_dir(&copies)?;
        if library.is_file() {
            let suffix = library.extension().unwrap_or_default();
            fs::copy(library, copies.join("pg_baton").with_extension(suffix))?;
        }
        Ok(())
    }

    fn launch(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut server = self.command("postgres");
        server
            .arg("-D")
            .arg(self.data_dir())
            .arg("-k")
            .arg(self.socket_dir());
        server.args(["-h", "", "-p", PORT]);
        let libraries = format!(
            "dynamic_library_path={}:$libdir",
            self.library_dir().display()
        );
        server.arg("-c").arg(libraries);
        for (name, value) in &self.conf {
            server.arg("-c").arg(format!("{name}={value}"));
        }
        server
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        self.server = Some(server.spawn().context("cannot start postgres")?);
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.server.as_mut().expect("it was started").try_wait()? {
                self.server = None;
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                bail!("the server ended at once ({status}):\n{log}");
            }
            let error = match self.psql("postgres", "SELECT 1") {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(error.context("the server does not answer"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn pg_ctl_stop(&self, mode: &str) -> Result<()> {
        let mut stop = self.command("pg_ctl");
        stop.arg("-D")
            .arg(self.data_dir())
            .args(["-m", mode, "-w", "stop"]);
        output(&mut stop).map(drop)
    }

    /// A program of the server's, or one named by its whole path, run in the cluster's directory by whoever runs the server.
    pub fn command(&self, program: &str) -> Command {
        self.account.command(&self.bindir.join(program), &self.dir)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn library_dir(&self) -> PathBuf {
        self.dir.join("lib")
    }

    /// Where clients find the server's socket, as the host that they name.
    pub fn socket_dir(&self) -> PathBuf {
        self.dir.join("s")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = self.stop() {
            eprintln!(
                "cannot stop the server in {}: {error:#}",
                self.dir.display()
            );
        }
        if !self.dir.starts_with(target_dir()) {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Account {
    fn of_server() -> Result<Account> {
        if !is_root() {
            return Ok(Account(None));
        }
        let id = |flag| -> Result<u32> {
            let id = output(Command::new("id").args([flag, "postgres"]))
                .context("PostgreSQL does not run as root: create the user postgres (useradd --system postgres)")?;
            Ok(id.parse()?)
        };
        Ok(Account(Some((id("-u")?, id("-g")?))))
    }

    fn command(self, program: &Path, cwd: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(cwd);
        // Settings of the caller's own PostgreSQL must not reach this one.
        for (name, _) in std::env::vars_os() {
            // (and a backtrace would become the detail of every error of the server)
            if name.to_string_lossy().starts_with("PG") || name == "RUST_BACKTRACE" {
                command.env_remove(name);
            }
        }
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn can_reach(self, dir: &Path) -> bool {
        let mut look = self.command(Path::new("/bin/sh"), Path::new("/"));
        look.args(["-c", "cd \"$1\"", "sh"]).arg(dir);
        output(&mut look).is_ok()
    }
}

/// Whether whoever runs servers gets there.
pub fn server_reaches(dir: &Path) -> bool {
    Account::of_server().is_ok_and(|account| account.can_reach(dir))
}

/// An empty directory for the cluster, owned by whoever runs the server: under target/, or under
/// the system's temporary directory if target/ is closed to that user or too deep for a socket.
fn fresh_dir(bindir: &Path, home: &Path, name: &str, account: Account) -> Result<PathBuf> {
    let mut dir = home.join(name);
    let fits = |dir: &Path| dir.join("s").as_os_str().len() <= LONGEST_SOCKET_DIR;
    if account.can_reach(home) && fits(&dir) {
        if dir.join("data/postmaster.pid").exists() {
            // Left by an earlier run: kept on purpose, or its program was killed.
            let mut stop = account.command(&bindir.join("pg_ctl"), Path::new("/"));
            stop.arg("-D")
                .arg(dir.join("data"))
                .args(["-m", "immediate", "-w", "stop"]);
            let _ = output(&mut stop); // fails if nothing runs, which is as good
        }
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir(&dir)?;
    } else {
        let stem = std::env::temp_dir().join(format!("pg_baton-{name}-{}", std::process::id()));
        dir = (0..100)
            .map(|n| PathBuf::from(format!("{}-{n}", stem.display())))
            .find(|dir| fs::create_dir(dir).is_ok())
            .with_context(|| format!("cannot make a directory like {}", stem.display()))?;
        ensure!(
            fits(&dir),
            "the path {} is too long for a socket",
            dir.display()
        );
    }
    fs::create_dir(dir.join("s"))?;
    for path in [&dir, &dir.join("s")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        if let Some((uid, gid)) = account.0 {
            chown(path, Some(uid), Some(gid))?;
        }
    }
    Ok(dir)
}
