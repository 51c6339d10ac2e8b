//! PgBouncer before a private cluster: beside the server's socket, gone when the program that started it ends.

use crate::cluster::Cluster;
use crate::setup::{self, output, which};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PACKAGE: &str = "pgbouncer";
/// Of the socket, which lies in a directory of its own: nobody else's PgBouncer is in the way.
const PORT: &str = "6432";
/// Connections to the server for each database and user: fewer than the clients, so that they have to share.
pub const POOL_SIZE: usize = 3;

pub struct Pooler {
    process: Child,
    socket_dir: PathBuf,
    log: PathBuf,
}

/// PgBouncer: installed if it is missing and apt can do it.
pub fn program() -> Result<PathBuf> {
    let find = || which(Path::new(PACKAGE)).or_else(|| which(Path::new("/usr/sbin/pgbouncer")));
    if let Some(program) = find() {
        return Ok(program);
    }
    setup::apt_get(&[PACKAGE.into()])?;
    find().context("pgbouncer was installed but is not found")
}

/// Its version: (1, 18).
pub fn version(program: &Path) -> Result<(u32, u32)> {
    let told = output(Command::new(program).arg("--version"))?;
    let number = told.split_whitespace().nth(1).unwrap_or_default();
    let mut parts = number.split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => bail!("pgbouncer --version shows no number: {told}"),
    }
}

impl Pooler {
    /// Starts it in transaction mode for every database, and for these names with settings of their own. Successive transactions of
    /// one client go to one server connection after the other, so that whatever a session was needed for shows.
    pub fn start(
        program: &Path,
        cluster: &Cluster,
        users: &[&str],
        databases: &[(&str, &str)],
        log: &Path,
    ) -> Result<Pooler> {
        let socket = cluster.socket();
        let socket_dir = socket
            .parent()
            .context("the socket is in a directory")?
            .to_path_buf();
        let (here, port) = (
            socket_dir.display(),
            socket
                .extension()
                .and_then(|port| port.to_str())
                .unwrap_or_default(),
        );
        let named: String = databases
            .iter()
            .map(|(name, settings)| format!("{name} = host={here} port={port} {settings}\n"))
            .collect();
        let users: String = users
            .iter()
            .map(|user| format!("\"{user}\" \"\"\n"))
            .collect();
        let ini = format!(
            "[databases]\n{named}* = host={here} port={port}\n\
             [pgbouncer]\nunix_socket_dir = {here}\nlisten_port = {PORT}\nlisten_addr =\n\
             auth_type = trust\nauth_file = {here}/users.txt\n\
             pool_mode = transaction\ndefault_pool_size = {POOL_SIZE}\nmin_pool_size = {POOL_SIZE}\nserver_round_robin = 1\n\
             query_wait_timeout = 30\nignore_startup_parameters = extra_float_digits\n"
        );
        let settings = socket_dir.join("pgbouncer.ini");
        fs::write(socket_dir.join("users.txt"), users)?;
        fs::write(&settings, ini)?;
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = cluster.command(&program.to_string_lossy());
        command.arg(&settings);
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let mut pooler = Pooler {
            process: command.spawn().context("cannot start pgbouncer")?,
            socket_dir,
            log: log.to_path_buf(),
        };
        let begun = Instant::now();
        while !pooler.socket().exists() {
            pooler.check()?;
            ensure!(
                begun.elapsed() < Duration::from_secs(10),
                "pgbouncer does not open its socket: see {}",
                log.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(pooler)
    }

    /// What a client needs in its environment to reach the cluster through it.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PGHOST", self.socket_dir.display().to_string()),
            ("PGPORT", PORT.to_owned()),
            ("PGUSER", "postgres".to_owned()),
        ]
    }

    /// Where clients find its socket.
    pub fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{PORT}"))
    }

    /// Fails if it has ended, with its last words.
    pub fn check(&mut self) -> Result<()> {
        if let Some(state) = self.process.try_wait()? {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(5)..].join("\n");
            bail!("pgbouncer has ended ({state}):\n{last}");
        }
        Ok(())
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
