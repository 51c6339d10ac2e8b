//! pgbench in interleaved rounds: what is compared runs in turn, because the machine's speed drifts.

use super::peers::Peer;
use super::{Bench, CLIENTS, ROUNDS};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One script that is run in one database.
#[derive(Clone)]
pub struct Load {
    pub name: String,
    pub db: String,
    pub script: PathBuf,
    pub clients: usize,
    /// How pgbench sends its statements.
    pub mode: &'static str,
    /// Settings of its sessions, as PGOPTIONS.
    pub options: &'static str,
    pub variables: Vec<(&'static str, i64)>,
    /// What one transaction of the script gets done, in the unit of the table.
    pub each: f64,
    /// Not ours: if it fails, that is a line of the table and not the end of the run.
    pub may_fail: bool,
}

impl Load {
    /// A script of benches/, with prepared statements.
    pub fn ours(name: &str, db: &str, script: &str) -> Load {
        Load {
            name: name.to_owned(),
            db: db.to_owned(),
            script: Bench::file(script),
            clients: CLIENTS,
            mode: "prepared",
            options: "",
            variables: Vec::new(),
            each: 1.0,
            may_fail: false,
        }
    }

    /// A peer's script: the statements that its own client sends.
    pub fn of_peer(peer: &Peer, db: &str, script: &Path) -> Load {
        Load {
            script: script.to_owned(),
            mode: peer.mode(),
            may_fail: true,
            ..Load::ours(&format!("{} {}", peer.name, peer.version), db, "")
        }
    }

    /// Plain SQL that writes the extension's tables: the guard on them is off, and no plan reads a whole table, as none
    /// of the extension's does.
    pub fn writing_tables(mut self) -> Load {
        self.options = "-c session_replication_role=replica -c enable_seqscan=off -c jit=off";
        self
    }

    pub fn clients(mut self, clients: usize) -> Load {
        self.clients = clients;
        self
    }

    pub fn of(mut self, each: usize) -> Load {
        self.each = each as f64;
        self
    }
}

/// What the rounds of a load came to, per second.
pub struct Measured {
    pub name: String,
    pub rate: Result<Spread, String>,
}

impl Measured {
    pub fn failed(name: &str, error: &anyhow::Error) -> Measured {
        Measured {
            name: name.to_owned(),
            rate: Err(why(error)),
        }
    }

    pub fn median(&self) -> Option<f64> {
        self.rate.as_ref().ok().map(|rate| rate.median)
    }

    /// This one's median as a share of another's.
    pub fn over(&self, other: &Measured) -> Option<f64> {
        Some(self.median()? / other.median()?)
    }
}

#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: &[f64]) -> Spread {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Spread {
            median: sorted[sorted.len() / 2],
            min: sorted[0],
            max: sorted[sorted.len() - 1],
        }
    }

    pub fn times(self, factor: f64) -> Spread {
        Spread {
            median: self.median * factor,
            min: self.min * factor,
            max: self.max * factor,
        }
    }
}

/// Why something is not measured, for one cell of a table; the whole of it goes to the terminal.
pub fn why(error: &anyhow::Error) -> String {
    eprintln!("left out: {error:#}");
    let said = error.to_string();
    said.lines().next().unwrap_or_default().to_owned()
}

impl Bench {
    /// All loads in turn, as often as there are rounds, after a short one that warms up.
    pub fn interleaved(&self, loads: &[Load]) -> Result<Vec<Measured>> {
        let mut rates: Vec<Result<Vec<f64>, String>> = vec![Ok(Vec::new()); loads.len()];
        let seconds = self.seconds.to_string();
        for round in 0..=ROUNDS {
            for (load, rates) in loads.iter().zip(&mut rates) {
                let Ok(so_far) = rates else { continue };
                let limit = if round == 0 { "1" } else { &seconds };
                match self.pgbench(load, &["-T", limit]) {
                    Ok(rate) if round > 0 => so_far.push(rate),
                    Ok(_) => {}
                    Err(error) if load.may_fail => *rates = Err(why(&error)),
                    Err(error) => return Err(error),
                }
            }
        }
        let measured = loads.iter().zip(rates).map(|(load, rates)| Measured {
            name: load.name.clone(),
            rate: rates.map(|rates| Spread::of(&rates)),
        });
        Ok(measured.collect())
    }

    /// What a load gets done per second.
    pub fn pgbench(&self, load: &Load, limit: &[&str]) -> Result<f64> {
        let mut command = Command::new(self.pg.bin("pgbench"));
        command
            .envs(self.cluster.env())
            .env("PGOPTIONS", load.options);
        command.args(["-n", "-M", load.mode, "-c", &load.clients.to_string()]);
        command.args(["-j", &load.clients.min(2).to_string()]);
        for (name, value) in &load.variables {
            command.arg("-D").arg(format!("{name}={value}"));
        }
        command
            .args(limit)
            .arg("-f")
            .arg(&load.script)
            .arg(&load.db);
        let out = command.output().context("cannot run pgbench")?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr);
            let error = said.lines().find(|line| line.contains("rror"));
            let script = load.script.file_name().unwrap_or_default();
            bail!("{}: {}", script.display(), error.unwrap_or(&said).trim());
        }
        let text = String::from_utf8_lossy(&out.stdout);
        let tps = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = tps.and_then(|rest| rest.split(' ').next());
        let tps: f64 = tps.context("pgbench printed no tps")?.parse()?;
        Ok(tps * load.each)
    }
}
