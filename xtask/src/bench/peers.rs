//! The peers of `cargo bench-sql`: other task queues on PostgreSQL, each with the schema out of its own package and driven by
//! the statements that its own client sends (benches/peers). Nothing of theirs is kept here: a package is had from its registry
//! when it is measured, in the version named below, and stays under target/peers.

use crate::cluster::Cluster;
use crate::setup::{output, root, run_quietly, target_dir};
use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Peer {
    pub name: &'static str,
    pub version: &'static str,
    /// Where its tables are.
    pub schema: &'static str,
    /// Whether a task that has ended can still be found.
    pub keeps_history: bool,
    /// How it is set up, and what that leaves out.
    pub note: &'static str,
    /// A task's life, one commit each; there once it is prepared.
    pub lifecycle: PathBuf,
    /// The lives of 100 tasks, with as few statements as its client can.
    pub batch: Option<PathBuf>,
    mode: &'static str,
    registry: Registry,
    package: &'static str,
    fill: PathBuf,
}

/// pg-boss asks for a release of what it reads calendar rules with that is not in every registry; no schedule is measured.
const NPM_PROJECT: &str = r#"{"private": true, "overrides": {"rrule-temporal": "2.2.7"}}"#;

#[derive(Clone, Copy)]
enum Registry {
    Npm,
    PyPi,
    Crates,
}

pub fn all() -> Vec<Peer> {
    use Registry::*;
    vec![
        Peer {
            note: "local queue and batched completion for the batches; a completed task is deleted",
            ..Peer::new(Npm, "graphile-worker", "0.18.0", "graphile_worker")
        },
        Peer {
            keeps_history: true,
            mode: "extended",
            note: "a queue with a table of its own (partition), without its supervisor and schedules; its client prepares nothing",
            ..Peer::new(Npm, "pg-boss", "12.38.0", "pgboss")
        },
        Peer {
            keeps_history: true,
            note: "deferred in batches, fetched and finished one by one, as its worker does; keeps tasks and events",
            ..Peer::new(PyPi, "procrastinate", "3.10.0", "public")
        },
        Peer {
            keeps_history: true,
            note: "no limits of concurrency; keeps a log of states without payloads",
            ..Peer::new(PyPi, "pgqueuer", "1.6.0", "public")
        },
        Peer {
            keeps_history: true,
            note: "claimed in batches, spawned and completed one by one, as its client does; without its reading of checkpoints before a run",
            ..Peer::new(PyPi, "absurd", "0.5.1", "absurd")
        },
        Peer {
            keeps_history: true,
            note: "read and archive",
            ..Peer::new(Crates, "pgmq", "0.33.7", "pgmq")
        },
        Peer {
            name: "pgmq, delete",
            lifecycle: scripts("pgmq").join("lifecycle_delete.pgb"),
            batch: Some(scripts("pgmq").join("batch_delete.pgb")),
            note: "read and delete",
            ..Peer::new(Crates, "pgmq", "0.33.7", "pgmq")
        },
    ]
}

/// What is kept here for a package: its scripts, or the program that writes them.
fn scripts(package: &str) -> PathBuf {
    root().join("benches/peers").join(package)
}

impl Peer {
    fn new(
        registry: Registry,
        package: &'static str,
        version: &'static str,
        schema: &'static str,
    ) -> Peer {
        let scripts = match registry {
            Registry::Crates => scripts(package),
            _ => home(package, version),
        };
        Peer {
            name: package,
            version,
            schema,
            keeps_history: false,
            note: "",
            lifecycle: scripts.join("lifecycle.pgb"),
            batch: Some(scripts.join("batch.pgb")),
            mode: "prepared",
            registry,
            package,
            fill: scripts.join("fill.sql"),
        }
    }

    /// How pgbench sends its statements: as its client does.
    pub fn mode(&self) -> &'static str {
        self.mode
    }

    /// Makes the database anew, with the schema and the queue.
    pub fn prepare(&self, cluster: &Cluster, db: &str) -> Result<()> {
        let home = home(self.package, self.version);
        self.install(&home)
            .with_context(|| format!("cannot get {} {}", self.package, self.version))?;
        cluster.fresh_database(db, "template0")?;
        match self.registry {
            // Its client makes the schema itself, lives a life and writes down what it sent.
            Registry::Npm => {
                let scripts = scripts(self.package);
                for program in [
                    scripts.with_file_name("record.mjs"),
                    scripts.join("prepare.mjs"),
                ] {
                    // Node looks for packages where a program lies.
                    fs::copy(&program, home.join(program.file_name().unwrap_or_default()))?;
                }
                let mut prepare = in_dir("node", &home);
                prepare.arg("prepare.mjs").envs(cluster.env());
                output(prepare.env("PGDATABASE", db))?;
            }
            Registry::PyPi => {
                let mut prepare = in_dir("python3", &home);
                prepare.arg(scripts(self.package).join("prepare.py"));
                output(prepare.env("PYTHONPATH", home.join("packages")))?;
                cluster.psql(db, &fs::read_to_string(home.join("schema.sql"))?)?;
            }
            Registry::Crates => {
                let sql = crate_dir(&home, self.package)?.join("src/install/embedded/sql/pgmq.sql");
                cluster.psql(db, &fs::read_to_string(sql)?)?;
                cluster.psql(db, "SELECT pgmq.create(queue_name=>'bench'::text)")?;
            }
        }
        Ok(())
    }

    /// Puts tasks into the queue, as its client would many at once.
    pub fn fill(&self, cluster: &Cluster, db: &str, items: usize) -> Result<()> {
        let fill = fs::read_to_string(&self.fill)?;
        let script = format!("\\set items {items}\n{fill}\nVACUUM ANALYZE;\n");
        cluster.psql(db, &script).map(drop)
    }

    /// Gets the package out of its registry, once.
    fn install(&self, home: &Path) -> Result<()> {
        let complete = home.join("complete");
        if complete.is_file() {
            return Ok(());
        }
        let _ = fs::remove_dir_all(home); // half-made by a run that was stopped
        fs::create_dir_all(home)?;
        let what = format!("getting {} {}", self.package, self.version);
        match self.registry {
            Registry::Npm => {
                fs::write(home.join("package.json"), NPM_PROJECT)?;
                let mut npm = in_dir("npm", home);
                npm.args(["install", "--no-audit", "--no-fund", "--save-exact"]);
                run_quietly(npm.arg(format!("{}@{}", self.package, self.version)), &what)?;
            }
            Registry::PyPi => {
                let package = match self.package {
                    "absurd" => "absurdctl",
                    package => package,
                };
                let mut pip = in_dir("python3", home);
                pip.args(["-m", "pip", "install", "--quiet", "--target", "packages"]);
                run_quietly(pip.arg(format!("{package}=={}", self.version)), &what)?;
            }
            Registry::Crates => {
                let manifest = format!(
                    "[package]\nname = \"peer\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n[dependencies]\n{} = \"={}\"\n",
                    self.package, self.version
                );
                fs::write(home.join("Cargo.toml"), manifest)?;
                fs::write(home.join("lib.rs"), "")?;
                run_quietly(in_dir("cargo", home).arg("fetch"), &what)?;
                ensure!(
                    crate_dir(home, self.package)?.is_dir(),
                    "cargo fetched no {}",
                    self.package
                );
            }
        }
        fs::write(complete, "")?;
        Ok(())
    }
}

fn home(package: &str, version: &str) -> PathBuf {
    target_dir().join(format!("peers/{package}-{version}"))
}

fn in_dir(program: impl AsRef<OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir);
    command
}

/// Where cargo has unpacked a dependency.
fn crate_dir(home: &Path, package: &str) -> Result<PathBuf> {
    let metadata = output(in_dir("cargo", home).args(["metadata", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let manifest = packages
        .iter()
        .find(|found| found["name"] == package)
        .and_then(|found| found["manifest_path"].as_str())
        .with_context(|| format!("cargo metadata knows no {package}"))?;
    Ok(Path::new(manifest).with_file_name(""))
}
