//! The workers as processes: started with their output in a file each, killed, paused and woken by
//! their own process id, and read for what the server told them.

use super::runtimes::Runtime;
use super::{DATABASE, FOLD_QUEUE, QUEUE, check_interrupted};
use crate::setup::output;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Crew {
    /// The example that its workers run, the one that folds excepted.
    example: &'static str,
    env: Vec<(&'static str, String)>,
    output_dir: PathBuf,
    workers: Vec<Worker>,
}

/// How workers get to the server, and to psql: their environment.
pub struct Reach(Vec<(&'static str, String)>);

/// A worker of the crew, by its place in it.
pub type Hand = usize;

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lease {
    pub task_id: i64,
    pub token: i64,
}

/// A worker and its helpers (bash leaves the work to others) are a process group.
struct Worker {
    name: String,
    process: Child,
    output: PathBuf,
    ended: bool,
}

impl Reach {
    pub fn new(mut env: Vec<(&'static str, String)>, psql_dir: &Path) -> Result<Reach> {
        env.push(("PGDATABASE", DATABASE.to_owned()));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(psql_dir.to_path_buf()).chain(std::env::split_paths(&path));
        env.push((
            "PATH",
            std::env::join_paths(path)?.to_string_lossy().into_owned(),
        ));
        Ok(Reach(env))
    }
}

impl Crew {
    pub fn new(example: &'static str, reach: &Reach, scratch: &Path) -> Result<Crew> {
        let output_dir = scratch.join("workers");
        let _ = fs::remove_dir_all(&output_dir);
        fs::create_dir_all(&output_dir)?;
        Ok(Crew {
            example,
            env: reach.0.clone(),
            output_dir,
            workers: Vec::new(),
        })
    }

    /// Starts a worker on the queue of files to hash.
    pub fn hire(&mut self, runtime: &Runtime, name: &str, ttl: u32) -> Result<Hand> {
        self.hire_for(QUEUE, runtime, name, ttl)
    }

    /// Starts a worker on this queue.
    pub fn hire_for(
        &mut self,
        queue: &str,
        runtime: &Runtime,
        name: &str,
        ttl: u32,
    ) -> Result<Hand> {
        let ttl = ttl.to_string();
        self.start(
            runtime,
            self.example,
            name,
            &[("QUEUE", queue), ("TTL", &ttl)],
        )
    }

    /// Starts a worker that sits on its first task, and waits until it has it.
    pub fn hire_holding(
        &mut self,
        runtime: &Runtime,
        name: &str,
        ttl: u32,
        hold: u32,
    ) -> Result<Hand> {
        self.hire_holding_for(QUEUE, runtime, name, ttl, hold)
    }

    /// The same on this queue.
    pub fn hire_holding_for(
        &mut self,
        queue: &str,
        runtime: &Runtime,
        name: &str,
        ttl: u32,
        hold: u32,
    ) -> Result<Hand> {
        let (ttl, hold) = (ttl.to_string(), hold.to_string());
        let name = format!("{}-{name}", runtime.name());
        self.start(
            runtime,
            self.example,
            &name,
            &[("QUEUE", queue), ("TTL", &ttl), ("HOLD", &hold)],
        )
    }

    /// Starts the worker that folds the report.
    pub fn hire_folder(&mut self, runtime: &Runtime) -> Result<Hand> {
        self.start(runtime, "fold", "fold", &[("QUEUE", FOLD_QUEUE)])
    }

    /// The lease that a holding worker has got: waits for it.
    pub fn held_by(&mut self, hand: Hand) -> Result<Lease> {
        let begun = Instant::now();
        loop {
            for line in self.lines(hand)? {
                if let Some((lease, _)) = Lease::parse(&line, "holding") {
                    return Ok(lease);
                }
            }
            self.check_health()?;
            ensure!(
                begun.elapsed() < Duration::from_secs(30),
                "{} got no task",
                self.name(hand)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the worker was told when it reported this lease's task.
    pub fn told(&self, hand: Hand, lease: &Lease) -> Result<Option<String>> {
        let lines = self.lines(hand)?;
        let told = lines
            .iter()
            .filter_map(|line| Lease::parse(line, "told"))
            .find(|(l, _)| l == lease);
        Ok(told.map(|(_, outcome)| outcome))
    }

    /// The worker's latest report, and what it was told.
    pub fn last_told(&self, hand: Hand) -> Result<Option<(Lease, String)>> {
        Ok(self
            .lines(hand)?
            .iter()
            .rev()
            .find_map(|line| Lease::parse(line, "told")))
    }

    /// How often each worker on the files was answered `finalized`.
    pub fn finalized(&self) -> Result<Vec<(&str, usize)>> {
        let mut finalized = Vec::new();
        for (hand, worker) in self
            .workers
            .iter()
            .enumerate()
            .filter(|(_, worker)| worker.name != "fold")
        {
            let lines = self.lines(hand)?;
            let told = lines.iter().filter_map(|line| Lease::parse(line, "told"));
            let count = told.filter(|(_, outcome)| outcome == "finalized").count();
            finalized.push((worker.name.as_str(), count));
        }
        Ok(finalized)
    }

    pub fn kill(&mut self, hand: Hand) -> Result<()> {
        self.signal(hand, "KILL")?;
        self.workers[hand].process.wait()?;
        self.workers[hand].ended = true;
        Ok(())
    }

    pub fn pause(&mut self, hand: Hand) -> Result<()> {
        self.signal(hand, "STOP")
    }

    pub fn resume(&mut self, hand: Hand) -> Result<()> {
        self.signal(hand, "CONT")
    }

    pub fn is_alive(&self, hand: Hand) -> bool {
        !self.workers[hand].ended
    }

    pub fn name(&self, hand: Hand) -> &str {
        &self.workers[hand].name
    }

    pub fn names(&self) -> Vec<&str> {
        self.workers
            .iter()
            .map(|worker| worker.name.as_str())
            .collect()
    }

    pub fn output_dir(&self) -> &Path {
        &self.output_dir
    }

    /// Fails if a worker has ended that should not have, and shows its last words.
    pub fn check_health(&mut self) -> Result<()> {
        check_interrupted()?;
        for hand in 0..self.workers.len() {
            let worker = &mut self.workers[hand];
            if worker.ended {
                continue;
            }
            let Some(status) = worker.process.try_wait()? else {
                continue;
            };
            worker.ended = true;
            if !(worker.name == "fold" && status.success()) {
                self.blame(hand, &format!("ended by itself ({status})"))?;
            }
        }
        Ok(())
    }

    /// Asks all workers to end after the task in hand, and waits for them.
    pub fn dismiss(&mut self) -> Result<()> {
        for hand in 0..self.workers.len() {
            let worker = &mut self.workers[hand];
            worker.ended = worker.ended || worker.process.try_wait()?.is_some();
            // The one that folds has reported and ends by itself; its interpreter, about to go, would die of the signal.
            if !worker.ended && worker.name != "fold" {
                self.signal(hand, "TERM")?;
            }
        }
        let begun = Instant::now();
        for hand in 0..self.workers.len() {
            while !self.workers[hand].ended {
                if let Some(status) = self.workers[hand].process.try_wait()? {
                    self.workers[hand].ended = true;
                    if !status.success() {
                        self.blame(hand, &format!("ended badly ({status})"))?;
                    }
                } else if begun.elapsed() > Duration::from_secs(15) {
                    self.blame(hand, "does not end when asked to")?;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    fn start(
        &mut self,
        runtime: &Runtime,
        example: &str,
        name: &str,
        env: &[(&str, &str)],
    ) -> Result<Hand> {
        let output = self.output_dir.join(format!("{name}.log"));
        let file = File::create(&output)?;
        let mut command = runtime.command(example);
        command
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("OWNER", name);
        command.envs(env.iter().copied());
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        command.process_group(0);
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        self.workers.push(Worker {
            name: name.to_owned(),
            process,
            output,
            ended: false,
        });
        Ok(self.workers.len() - 1)
    }

    fn signal(&self, hand: Hand, signal: &str) -> Result<()> {
        let worker = &self.workers[hand];
        // A request to end is for the worker itself, which then ends its helpers in good order.
        let to_all = signal != "TERM";
        let id = format!("{}{}", if to_all { "-" } else { "" }, worker.process.id());
        let mut kill = Command::new("/bin/sh");
        kill.args(["-c", "kill -s \"$1\" -- \"$2\"", "sh", signal, &id]);
        output(&mut kill)
            .map(drop)
            .with_context(|| format!("cannot send {signal} to {}", worker.name))
    }

    fn lines(&self, hand: Hand) -> Result<Vec<String>> {
        let text = fs::read(&self.workers[hand].output)?;
        let text = String::from_utf8_lossy(&text);
        // The last line may still be in the making.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Ok(whole.lines().map(str::to_owned).collect())
    }

    fn blame(&self, hand: Hand, what: &str) -> Result<()> {
        let text = fs::read_to_string(&self.workers[hand].output).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(15)..].join("\n");
        bail!(
            "worker {} {what}; its last words:\n{last}",
            self.workers[hand].name
        )
    }
}

impl Drop for Crew {
    /// Whatever went wrong, no worker is left behind.
    fn drop(&mut self) {
        for hand in 0..self.workers.len() {
            if !self.workers[hand].ended
                && matches!(self.workers[hand].process.try_wait(), Ok(None))
            {
                let _ = self.kill(hand);
            }
        }
    }
}

impl Lease {
    /// Reads a worker's line: `holding 17 4711`, `told 17 4711: finalized`.
    fn parse(line: &str, word: &str) -> Option<(Lease, String)> {
        let rest = line.strip_prefix(word)?.strip_prefix(' ')?;
        let (ids, outcome) = rest.split_once(": ").unwrap_or((rest, ""));
        let (task_id, token) = ids.split_once(' ')?;
        let lease = Lease {
            task_id: task_id.parse().ok()?,
            token: token.parse().ok()?,
        };
        Some((lease, outcome.to_owned()))
    }
}
