//! One run: a cluster, workers, faults, checks while it goes on, and the verdict on its history.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::{NoTls, SimpleQueryMessage};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use xtask::cluster::{Cluster, Crash};
use xtask::setup::{self, Pg};

use crate::acts::MS;
use crate::checker::{self, Op};
use crate::faults::Fault;
use crate::history::{self, Entry, Journal, Stamp, Verb};
use crate::model::ending::OnLost;
use crate::model::state::State;
use crate::project::{self, Last, Projected, TapeEvent};
use crate::proxy;
use crate::saga;
use crate::spec::Queue;
use crate::worker::{self, Orders};
use crate::workflow::{self, LastRun};

pub struct Options {
    pub seed: u64,
    pub tasks: usize,
    pub clients: usize,
    pub faults: Vec<Fault>,
    /// How often the server is brought down.
    pub crashes: usize,
    /// This build of the extension's library instead of the installed one.
    pub library: Option<PathBuf>,
}

/// What a run came to.
pub struct Outcome {
    pub violations: Vec<String>,
    pub tasks: usize,
    pub calls: usize,
    pub crashes: usize,
}

/// What the database shows at the end, and when it was read.
struct AtEnd {
    last: Vec<Last>,
    runs: Vec<LastRun>,
    read: (Stamp, Stamp),
}

const DATABASE: &str = "stress";
/// Keys with their capacities, and whether clients change them.
pub const SLOT_KEYS: [(&str, i32, bool); 5] = [
    ("two", 2, false),
    ("four", 4, false),
    ("few", 1, true),
    ("some", 3, true),
    ("many", 8, true),
];
/// Clients of one worker process.
const CLIENTS_OF_A_PROCESS: usize = 4;
/// A run in which no task is created for so long is stopped; so is one that does not end what is left.
const PATIENCE: Duration = Duration::from_secs(120);
const DRAIN: Duration = Duration::from_secs(90);

/// A queue for each way to lose a lease, one with a bound on run time, and one that is told of ends.
pub fn queues() -> Vec<Queue> {
    let queue = |name: &str, on_lost, max_runtime: Option<i64>| Queue {
        name: name.to_owned(),
        lease_ttl: 300 * MS,
        max_attempts: 3,
        max_lost_leases: 3,
        backoff_base: 5 * MS,
        backoff_max: 50 * MS,
        max_runtime,
        on_lost,
        on_final: None,
    };
    const BAD: &[State] = &[
        State::Failed,
        State::Cancelled,
        State::Compensated,
        State::Quarantined,
    ];
    let told = |queue| Queue {
        on_final: Some(("ends", BAD)),
        ..queue
    };
    vec![
        told(queue("again", OnLost::Requeue, None)),
        queue("unstarted", OnLost::RequeueUnstarted, None),
        told(queue("once", OnLost::Fail, None)),
        queue("bounded", OnLost::Requeue, Some(500 * MS)),
        queue("ends", OnLost::Requeue, None),
    ]
}

/// A queue that only one client polls: nobody else finds what that one passes over.
fn own_queue(place: usize) -> Queue {
    let like = queues().swap_remove(0);
    Queue {
        name: format!("own{place}"),
        ..like
    }
}

fn queue_sql(queue: &Queue) -> String {
    let max_runtime = queue
        .max_runtime
        .map_or("NULL".to_owned(), |us| format!("'{us} us'"));
    let on_final = queue.on_final.map_or(String::new(), |(queue, states)| {
        let states: Vec<&str> = states.iter().map(|state| state.name()).collect();
        format!(
            ", on_final_queue => '{queue}', on_final_states => ARRAY['{}']",
            states.join("', '")
        )
    });
    format!(
        "SELECT queue_create('{}', lease_ttl => '{} us', max_attempts => {}, max_lost_leases => {}, backoff_base => '{} us', \
         backoff_max => '{} us', max_runtime => {max_runtime}, on_lost => '{}'{on_final})",
        queue.name,
        queue.lease_ttl,
        queue.max_attempts,
        queue.max_lost_leases,
        queue.backoff_base,
        queue.backoff_max,
        queue.on_lost.name()
    )
}

/// A crash loses what was not flushed, so that little is flushed by the way; autovacuum comes often.
const SERVER: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("wal_writer_delay", "10s"),
    ("autovacuum_naptime", "1s"),
    ("deadlock_timeout", "200ms"),
    ("max_connections", "100"),
    ("checkpoint_timeout", "30s"),
    ("restart_after_crash", "on"),
    // ms since 1970, as the histories count them
    ("log_line_prefix", "%n [%p] "),
];

pub struct Run {
    options: Options,
    queues: Vec<Queue>,
    dir: PathBuf,
    cluster: Cluster,
    direct: PathBuf,
    proxy: Option<PathBuf>,
    plan: Arc<proxy::Plan>,
    /// With the place of its first client.
    workers: Vec<(Child, usize)>,
    processes: usize,
    stopped: Vec<(Pid, Instant)>,
    holder: Option<(postgres::Client, Instant)>,
    watch: Option<postgres::Client>,
    journal: Journal,
    rng: SmallRng,
    happened: BTreeMap<&'static str, usize>,
    crashes: usize,
    checks: usize,
    violations: Vec<String>,
}

/// Runs, and says what came of it.
pub fn run(pg: &Pg, options: Options) -> Result<Outcome> {
    let begun = Instant::now();
    let names: Vec<&str> = options.faults.iter().map(|fault| fault.name()).collect();
    println!(
        "seed {}: {} tasks, {} clients, faults: {}",
        options.seed,
        options.tasks,
        options.clients,
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    );
    let mut run = Run::start(pg, options)?;
    let result = run.work();
    // Whatever happened, no process stays behind.
    run.stop_workers();
    result?;
    let AtEnd { last, runs, read } = run.read_last()?;
    let worked = begun.elapsed();
    let mut clients = Vec::new();
    for path in worker::journals(&run.dir)? {
        clients.push(history::read(&path)?);
    }
    let projected = project::project(&run.queues, &clients, &last, &runs, read);
    drop(clients);
    run.judge(&projected);
    run.read_log(&projected);
    run.report(&last, &runs, &projected, worked, begun.elapsed());
    Ok(Outcome {
        violations: std::mem::take(&mut run.violations),
        tasks: last.len(),
        calls: projected.calls,
        crashes: run.crashes,
    })
}

impl Run {
    fn start(pg: &Pg, options: Options) -> Result<Run> {
        let dir = setup::target_dir().join("stress");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        let cluster = match &options.library {
            Some(library) => Cluster::start_with_library(pg, "stress", SERVER, library)?,
            None => Cluster::start(pg, "stress", SERVER)?,
        };
        let mut queues = queues();
        queues.extend((0..options.clients).map(own_queue));
        cluster.psql("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        cluster.psql(DATABASE, "CREATE EXTENSION pg_baton")?;
        // Those that are told of ends come before those that tell.
        let mut in_order: Vec<&Queue> = queues.iter().collect();
        in_order.sort_by_key(|queue| queue.on_final.is_some());
        for queue in in_order {
            cluster.psql(DATABASE, &queue_sql(queue))?;
        }
        for (key, capacity, _) in SLOT_KEYS {
            let sql = format!("SELECT slot_set('{key}', {capacity})");
            cluster.psql(DATABASE, &sql)?;
        }
        let direct = cluster
            .socket()
            .parent()
            .context("a socket lies in a directory")?
            .to_path_buf();
        let plan = Arc::new(proxy::Plan::default());
        let proxy = if options.faults.contains(&Fault::Cut) {
            let place = dir.join("proxy");
            proxy::start(&place, cluster.socket(), options.seed, Arc::clone(&plan))?;
            plan.per_10_000.store(30, Ordering::Relaxed);
            Some(place)
        } else {
            None
        };
        let journal = Journal::create(&worker::journal_file(&dir, "faults"))?;
        let rng = SmallRng::seed_from_u64(options.seed);
        let processes = options.clients.div_ceil(CLIENTS_OF_A_PROCESS);
        let mut run = Run {
            options,
            queues,
            dir,
            cluster,
            direct,
            proxy,
            plan,
            workers: Vec::new(),
            processes: 0,
            stopped: Vec::new(),
            holder: None,
            watch: None,
            journal,
            rng,
            happened: BTreeMap::new(),
            crashes: 0,
            checks: 0,
            violations: Vec::new(),
        };
        for n in 0..processes {
            run.spawn_worker(n * CLIENTS_OF_A_PROCESS)?;
        }
        Ok(run)
    }

    fn has(&self, fault: Fault) -> bool {
        self.options.faults.contains(&fault)
    }

    /// `place`: of its first client among all clients. A worker that was killed leaves it to the next.
    fn spawn_worker(&mut self, place: usize) -> Result<()> {
        let clients = CLIENTS_OF_A_PROCESS.min(self.options.clients - place);
        let orders = Orders {
            dir: self.dir.clone(),
            process: self.processes,
            own: (place..place + clients)
                .map(|place| own_queue(place).name)
                .collect(),
            seed: self.options.seed,
            direct: self.direct.clone(),
            proxy: self.proxy.clone(),
            queues: queues().into_iter().map(|queue| queue.name).collect(),
            timeouts: self.has(Fault::Timeouts),
            unflushed: self.has(Fault::Unflushed),
            pauses: self.has(Fault::Pauses),
        };
        self.processes += 1;
        let program = std::env::current_exe()?;
        let worker = Command::new(program)
            .arg("--worker")
            .arg(serde_json::to_string(&orders)?)
            .spawn()
            .context("cannot start a worker")?;
        self.workers.push((worker, place));
        Ok(())
    }

    /// Until all tasks are created and ended.
    fn work(&mut self) -> Result<()> {
        let (mut most, mut grown) = (0, Instant::now());
        let mut next_check = Instant::now();
        let sudden: Vec<Fault> = self
            .options
            .faults
            .iter()
            .copied()
            .filter(|f| f.is_sudden())
            .collect();
        let crashes: Vec<Fault> = self
            .options
            .faults
            .iter()
            .copied()
            .filter(|f| f.is_crash())
            .collect();
        let planned = if crashes.is_empty() {
            0
        } else {
            self.options.crashes
        };
        loop {
            ensure!(
                grown.elapsed() < PATIENCE,
                "the run does not get on: {} tasks",
                self.created().unwrap_or(0)
            );
            sleep(Duration::from_millis(self.rng.random_range(20..120)));
            self.go_on_with_what_was_stopped();
            if Instant::now() >= next_check {
                self.check();
                next_check = Instant::now() + Duration::from_secs(1);
            }
            let created = self.created().unwrap_or(0);
            if created > most {
                (most, grown) = (created, Instant::now());
            }
            if created >= self.options.tasks && self.crashes >= planned {
                break;
            }
            // The crashes are spread over the run.
            if self.crashes < planned
                && created * (planned + 1) >= self.options.tasks * (self.crashes + 1)
            {
                let how = crashes[self.crashes % crashes.len()];
                self.crash(how)?;
            }
            if !sudden.is_empty() && self.rng.random_bool(0.7) {
                let fault = sudden[self.rng.random_range(0..sudden.len())];
                self.disturb(fault)?;
            }
        }
        self.heal();
        fs::write(worker::drain_file(&self.dir), "")?;
        self.drain()
    }

    fn connection(&mut self) -> Option<&mut postgres::Client> {
        if self.watch.as_ref().is_none_or(postgres::Client::is_closed) {
            self.watch = connect(&self.direct);
        }
        self.watch.as_mut()
    }

    /// Rows of a query, unless the server is down just now.
    fn rows(&mut self, sql: &str) -> Option<Vec<Vec<Option<String>>>> {
        let messages = self.connection()?.simple_query(sql).ok();
        if messages.is_none() {
            self.watch = None;
        }
        let row = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|i| row.get(i).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        };
        Some(messages?.into_iter().filter_map(row).collect())
    }

    fn count(&mut self, sql: &str) -> Option<usize> {
        self.rows(sql)?.first()?.first()?.as_ref()?.parse().ok()
    }

    fn created(&mut self) -> Option<usize> {
        self.count("SELECT count(*) FROM baton.task")
    }

    fn check(&mut self) {
        let Some(rows) =
            self.rows("SELECT invariant, object, object_id, detail FROM baton_check()")
        else {
            return;
        };
        self.checks += 1;
        for row in rows {
            let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            self.violations
                .push(format!("baton_check while it ran: {}", row.join(" | ")));
        }
        self.check_slots();
    }

    /// Never more hold a slot than the capacity, but for a key that was lowered.
    fn check_slots(&mut self) {
        let lowered: Vec<String> = SLOT_KEYS
            .into_iter()
            .filter(|(_, _, changed)| *changed)
            .map(|(key, ..)| format!("'{key}'"))
            .collect();
        let sql = format!(
            "SELECT coalesce(slot_key, run_id || ' ' || coalesce(step, '')), capacity, holders, draining FROM baton.slot_usage \
             WHERE (holders > capacity OR draining) AND NOT (draining AND coalesce(slot_key IN ({}), false))",
            lowered.join(", ")
        );
        for row in self.rows(&sql).unwrap_or_default() {
            let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            self.violations
                .push(format!("S1: slot_usage while it ran: {}", row.join(" | ")));
        }
    }

    fn crash(&mut self, how: Fault) -> Result<()> {
        let down = Stamp::now();
        match how {
            Fault::ServerKill => self.cluster.crash(Crash::Kill)?,
            Fault::ImmediateStop => self.cluster.crash(Crash::Immediate)?,
            _ => {
                let Some(pid) = self.some_backend() else {
                    return Ok(());
                };
                // The server restarts by itself; our own connection ends with all others.
                if kill(pid, Signal::SIGKILL).is_err() {
                    return Ok(());
                }
                let begun = Instant::now();
                while self
                    .watch
                    .as_mut()
                    .is_some_and(|watch| watch.simple_query("SELECT 1").is_ok())
                {
                    ensure!(
                        begun.elapsed() < Duration::from_secs(30),
                        "a killed backend disturbed nobody"
                    );
                    sleep(Duration::from_millis(5));
                }
            }
        }
        self.watch = None;
        self.holder = None;
        if how != Fault::BackendKill {
            self.cluster.recover()?;
        }
        let begun = Instant::now();
        while self.rows("SELECT 1").is_none() {
            ensure!(
                begun.elapsed() < Duration::from_secs(60),
                "the server does not come back"
            );
            sleep(Duration::from_millis(20));
        }
        self.journal.write(&Entry::Crash {
            down,
            up: Stamp::now(),
        });
        self.crashes += 1;
        *self.happened.entry(how.name()).or_default() += 1;
        Ok(())
    }

    /// A client's server process.
    fn some_backend(&mut self) -> Option<Pid> {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity WHERE datname = '{DATABASE}' AND pid <> pg_backend_pid() AND application_name LIKE 'c%'"
        );
        let rows = self.rows(&sql)?;
        let n = self.rng.random_range(0..rows.len().max(1));
        let pid: i32 = rows.get(n)?.first()?.as_ref()?.parse().ok()?;
        Some(Pid::from_raw(pid))
    }

    fn disturb(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Terminate | Fault::Cancel => {
                let function = if fault == Fault::Cancel {
                    "pg_cancel_backend"
                } else {
                    "pg_terminate_backend"
                };
                let Some(pid) = self.some_backend() else {
                    return Ok(());
                };
                if self.rows(&format!("SELECT {function}({pid})")).is_none() {
                    return Ok(());
                }
            }
            Fault::WorkerStop => {
                let n = self.rng.random_range(0..self.workers.len());
                let pid = Pid::from_raw(self.workers[n].0.id() as i32);
                if self.stopped.iter().any(|(stopped, _)| *stopped == pid) {
                    return Ok(());
                }
                kill(pid, Signal::SIGSTOP)?;
                let length = Duration::from_millis(self.rng.random_range(100..1500));
                self.stopped.push((pid, Instant::now() + length));
            }
            Fault::WorkerKill => {
                let n = self.rng.random_range(0..self.workers.len());
                let (mut worker, place) = self.workers.swap_remove(n);
                let killed = worker.kill();
                worker.wait()?;
                killed?;
                let pid = Pid::from_raw(worker.id() as i32);
                self.stopped.retain(|(stopped, _)| *stopped != pid);
                self.spawn_worker(place)?;
            }
            Fault::Snapshot => {
                if self.holder.is_some() {
                    return Ok(());
                }
                let Some(mut holder) = connect(&self.direct) else {
                    return Ok(());
                };
                if holder
                    .batch_execute(
                        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM baton.queue",
                    )
                    .is_ok()
                {
                    let length = Duration::from_millis(self.rng.random_range(500..4000));
                    self.holder = Some((holder, Instant::now() + length));
                }
            }
            Fault::Vacuum => {
                let tables = [
                    "task_live",
                    "event",
                    "slot",
                    "step_count",
                    "task",
                    "task_done",
                    "run",
                    "step",
                    "slot_key",
                    "due",
                    "compensation",
                ];
                let table = tables[self.rng.random_range(0..tables.len())];
                if self
                    .rows(&format!("VACUUM ANALYZE baton.{table}"))
                    .is_none()
                {
                    return Ok(());
                }
            }
            _ => return Ok(()),
        }
        *self.happened.entry(fault.name()).or_default() += 1;
        Ok(())
    }

    fn go_on_with_what_was_stopped(&mut self) {
        let now = Instant::now();
        self.stopped.retain(|(pid, until)| {
            if *until <= now {
                let _ = kill(*pid, Signal::SIGCONT); // it may have been killed since
            }
            *until > now
        });
        if self.holder.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.holder = None;
        }
    }

    /// No more faults.
    fn heal(&mut self) {
        for (pid, _) in self.stopped.drain(..) {
            let _ = kill(pid, Signal::SIGCONT);
        }
        self.holder = None;
        self.plan.per_10_000.store(0, Ordering::Relaxed);
    }

    /// All that was created must end now: what does not was lost on the way.
    fn drain(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            sleep(Duration::from_millis(200));
            self.check();
            let open = "SELECT count(*) + (SELECT count(*) FROM baton.run WHERE state < 10 AND workflow_id IS NOT NULL) FROM baton.task_live";
            match self.count(open) {
                Some(0) => return Ok(()),
                Some(_) if begun.elapsed() > DRAIN => break,
                _ => {}
            }
        }
        let stranded = self.rows("SELECT task_id, baton._state_name(state), run_at, lease_expires_at, waits_for, compensates, slot_keys FROM baton.task_live LIMIT 20");
        for row in stranded.unwrap_or_default() {
            let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            self.violations
                .push(format!("V1: stranded: task {}", row.join(" | ")));
        }
        let stranded = self.rows("SELECT run_id, state, checkpoint, workflow_mermaid(run_id) FROM baton.run WHERE state < 10 AND workflow_id IS NOT NULL LIMIT 20");
        for row in stranded.unwrap_or_default() {
            let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            self.violations
                .push(format!("D2: stranded: run {}", row.join(" | ")));
        }
        Ok(())
    }

    fn stop_workers(&mut self) {
        self.heal();
        let _ = fs::write(worker::stop_file(&self.dir), "");
        let begun = Instant::now();
        for (mut worker, _) in self.workers.drain(..) {
            loop {
                match worker.try_wait() {
                    Ok(Some(status)) => {
                        if !status.success() {
                            self.violations
                                .push(format!("a worker ended by itself: {status}"));
                        }
                        break;
                    }
                    _ if begun.elapsed() > Duration::from_secs(20) => {
                        let _ = worker.kill();
                        let _ = worker.wait();
                        self.violations
                            .push("a worker did not stop: its call never ended".to_owned());
                        break;
                    }
                    _ => sleep(Duration::from_millis(20)),
                }
            }
        }
    }

    /// Everything there is, once all is quiet.
    fn read_last(&mut self) -> Result<AtEnd> {
        let from = Stamp::now();
        let get = Verb::Get { task: 0 }.sql();
        let columns = get
            .strip_prefix("SELECT ")
            .and_then(|sql| sql.split_once(" FROM task_get("))
            .context("the shape of a get")?
            .0;
        let sql = format!(
            "SELECT t.task_id, g.queue, g.task_name, g.key, g.run_id, g.max_attempts, s.name, t.item_index, to_json(g.slot_keys), \
             (extract(epoch FROM t.created_at) * 1000000)::bigint, g.* \
             FROM baton.task t LEFT JOIN baton.step s USING (step_id) CROSS JOIN LATERAL \
             (SELECT queue, name AS task_name, key, run_id, max_attempts, slot_keys, {columns} FROM task_get(t.task_id) g) g ORDER BY 1"
        );
        let rows = self.rows(&sql).context("the tasks cannot be read")?;
        let mut last: BTreeMap<i64, Last> = BTreeMap::new();
        for mut row in rows {
            // (the first columns of g.* once more)
            let columns = row.split_off(16);
            let id = worker::number(&row, 0).context("a task has an id")?;
            let task = Last {
                task: id,
                queue: row[1].clone().unwrap_or_default(),
                name: row[2].clone(),
                key: row[3].clone(),
                run: worker::number(&row, 4),
                max_attempts: worker::number(&row, 5).unwrap_or_default() as i32,
                step: row[6].clone(),
                item_index: worker::number(&row, 7),
                slot_keys: row[8]
                    .as_ref()
                    .and_then(|json| serde_json::from_str(json).ok())
                    .unwrap_or_default(),
                created_at: worker::number(&row, 9).unwrap_or_default(),
                compensations: Vec::new(),
                columns,
                tape: Vec::new(),
            };
            last.insert(id, task);
        }
        let events = self
            .rows(
                "SELECT t.task_id, e.seq, e.kind, e.lease_token, (extract(epoch FROM e.at) * 1000000)::bigint, e.body ->> 'owner', \
                 CASE WHEN e.kind = 'compensating' OR e.kind LIKE 'baton.compensation%' THEN e.body END \
                 FROM baton.task t CROSS JOIN LATERAL task_events(t.task_id, 0, 100000) e ORDER BY 1, 2",
            )
            .context("the tapes cannot be read")?;
        for row in events {
            let Some(task) = worker::number(&row, 0).and_then(|id| last.get_mut(&id)) else {
                continue;
            };
            task.tape.push(TapeEvent {
                seq: worker::number(&row, 1).unwrap_or_default(),
                kind: row[2].clone().unwrap_or_default(),
                token: worker::number(&row, 3),
                at: worker::number(&row, 4).unwrap_or_default(),
                owner: row[5]
                    .clone()
                    .filter(|_| row[2].as_deref() == Some("leased")),
                body: row[6]
                    .as_ref()
                    .and_then(|json| serde_json::from_str(json).ok())
                    .unwrap_or_default(),
            });
        }
        let ledgers = self.rows(saga::READ).context("the ledgers")?;
        for (task, registered) in ledgers.iter().filter_map(saga::registered) {
            if let Some(task) = last.get_mut(&task) {
                task.compensations.push(registered);
            }
        }
        self.look_at_slots()?;
        let mut parts = Vec::new();
        for sql in workflow::READ {
            parts.push(self.rows(sql).context("the runs cannot be read")?);
        }
        let runs = workflow::last_runs(&parts);
        for row in self
            .rows("SELECT invariant, object, object_id, detail FROM baton_check(true)")
            .context("baton_check(true)")?
        {
            let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            self.violations
                .push(format!("baton_check(true) at the end: {}", row.join(" | ")));
        }
        Ok(AtEnd {
            last: last.into_values().collect(),
            runs,
            read: (from, Stamp::now()),
        })
    }

    /// Nothing is left that could hold a slot.
    fn look_at_slots(&mut self) -> Result<()> {
        let left = "SELECT k.slot_key, k.name, k.capacity, k.slots, count(s.slot_key), count(s.holder) \
             FROM baton.slot_key k LEFT JOIN baton.slot s USING (slot_key) GROUP BY k.slot_key \
             HAVING count(s.holder) > 0 OR count(s.slot_key) <> k.capacity OR k.slots <> k.capacity";
        for row in self.rows(left).context("the slots")? {
            let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            self.violations
                .push(format!("S1: a key at the end: {}", row.join(" | ")));
        }
        Ok(())
    }

    /// Every task's history against the specification, on all cores.
    fn judge(&mut self, projected: &Projected) {
        self.violations.extend(projected.violations.iter().cloned());
        let all: Vec<(&i64, &Vec<Op>)> = projected.tasks.iter().collect();
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let queues = &self.queues;
        let rejected: Vec<(i64, String)> = std::thread::scope(|scope| {
            let parts: Vec<_> = all
                .chunks(all.len().div_ceil(cores).max(1))
                .map(|part| {
                    scope.spawn(move || {
                        let mut rejected = Vec::new();
                        for (task, ops) in part {
                            if let Err(why) = checker::check(queues, ops) {
                                rejected.push((**task, slice(**task, ops, &why)));
                            }
                        }
                        rejected
                    })
                })
                .collect();
            parts
                .into_iter()
                .flat_map(|part| part.join().expect("the checker does not panic"))
                .collect()
        });
        for (_, slice) in rejected {
            self.violations.push(slice);
        }
    }

    /// Transactions with one call each never deadlock with each other (V2), and no server process ends by
    /// itself.
    fn read_log(&mut self, projected: &Projected) {
        let log = fs::read(self.cluster.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        for line in log.lines() {
            let by_itself = line.contains("terminated by signal") && !line.contains("signal 9");
            if line.contains("PANIC:") || by_itself {
                self.violations.push(format!("the server's log: {line}"));
            }
        }
        let lines: Vec<&str> = log.lines().collect();
        for (i, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.contains("ERROR:  deadlock detected"))
        {
            let at = line
                .split(' ')
                .next()
                .and_then(|ms| ms.parse::<f64>().ok())
                .map_or(0, |s| (s * 1e6) as i64);
            let detail = || {
                lines[i + 1..]
                    .iter()
                    .take_while(|line| !line.contains("HINT:"))
            };
            // "Process 12 waits for …; blocked by process 34."
            let in_it: Vec<u32> = detail()
                .filter_map(|line| {
                    line.split_once("Process ")?
                        .1
                        .split(' ')
                        .next()?
                        .parse()
                        .ok()
                })
                .collect();
            let several = |pid: &u32| {
                !projected.pids.contains(pid)
                    || projected
                        .several
                        .iter()
                        .any(|(p, from, to)| p == pid && *from <= at + 1000 && at <= *to)
            };
            if !in_it.iter().any(several) {
                let detail: Vec<&str> = detail().copied().collect();
                self.violations.push(format!(
                    "V2: a deadlock of transactions with one call each: {}",
                    detail.join(" ")
                ));
            }
        }
    }

    fn report(
        &self,
        last: &[Last],
        runs: &[LastRun],
        projected: &Projected,
        worked: Duration,
        all: Duration,
    ) {
        let cut = self.plan.cuts.load(Ordering::Relaxed);
        let mut happened: Vec<String> = self
            .happened
            .iter()
            .map(|(name, n)| format!("{name} {n}"))
            .collect();
        if cut > 0 {
            happened.push(format!("cut {cut}"));
        }
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for task in last {
            *states
                .entry(task.columns[0].as_deref().unwrap_or("?"))
                .or_default() += 1;
        }
        let states: Vec<String> = states
            .iter()
            .map(|(state, n)| format!("{n} {state}"))
            .collect();
        println!("    {} tasks: {}", last.len(), states.join(", "));
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        for run in runs {
            *ends.entry(&run.state).or_default() += 1;
        }
        let ends: Vec<String> = ends
            .iter()
            .map(|(state, n)| format!("{n} {state}"))
            .collect();
        println!("    {} runs of workflows: {}", runs.len(), ends.join(", "));
        let registered = last.iter().flat_map(|task| &task.compensations);
        let mut undone: BTreeMap<&str, usize> = BTreeMap::new();
        for compensation in registered {
            *undone.entry(&compensation.state).or_default() += 1;
        }
        let undone: Vec<String> = undone
            .iter()
            .map(|(state, n)| format!("{n} {state}"))
            .collect();
        let with_slots = last.iter().filter(|task| !task.slot_keys.is_empty());
        println!(
            "    compensations: {}; {} tasks with slot keys",
            if undone.is_empty() {
                "none".to_owned()
            } else {
                undone.join(", ")
            },
            with_slots.count()
        );
        println!(
            "    {} calls: {} without an answer, {} with an error; {} histories checked",
            projected.calls,
            projected.unknown,
            projected.failed,
            projected.tasks.len()
        );
        println!(
            "    faults: {}",
            if happened.is_empty() {
                "none".to_owned()
            } else {
                happened.join(", ")
            }
        );
        println!(
            "    baton_check() {} times; {:.0} s of work, {:.0} s in all; {} violations",
            self.checks,
            worked.as_secs_f64(),
            all.as_secs_f64(),
            self.violations.len()
        );
        let mut outcomes = String::new();
        for (outcome, n) in &projected.outcomes {
            let _ = writeln!(outcomes, "{n:8} {outcome}");
        }
        let _ = fs::write(self.dir.join("outcomes.txt"), outcomes);
        if !self.violations.is_empty() {
            let report = self.dir.join("violations.txt");
            let _ = fs::write(&report, self.violations.join("\n\n"));
            println!(
                "    seed {}: the first of the violations (all of them are in {})",
                self.options.seed,
                report.display()
            );
            for violation in self.violations.iter().take(5) {
                println!("{violation}\n");
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.stop_workers();
    }
}

fn connect(dir: &Path) -> Option<postgres::Client> {
    let mut config = postgres::Config::new();
    config
        .host_path(dir)
        .user("postgres")
        .dbname(DATABASE)
        .application_name("watch");
    config
        .connect_timeout(Duration::from_secs(2))
        .connect(NoTls)
        .ok()
}

/// The part of a history that has no legal order, to be read by people.
fn slice(task: i64, ops: &[Op], why: &checker::Rejected) -> String {
    let mut text = format!("task {task}: {why}\n");
    let zero = ops
        .iter()
        .map(|op| op.begun)
        .filter(|begun| *begun > 0)
        .min()
        .unwrap_or(0);
    let line = |text: &mut String, mark: &str, i: usize| {
        let op = &ops[i];
        let ms = |ns: i64| {
            if ns == i64::MAX {
                "?".to_owned()
            } else {
                format!("{:.3}", (ns - zero) as f64 / 1e6)
            }
        };
        let _ = writeln!(
            text,
            "  {mark} {:>10} to {:>10} ms {:?} {}",
            ms(op.begun.max(zero)),
            ms(op.ended),
            op.fate,
            op.label
        );
        for step in &op.steps {
            let _ = writeln!(text, "      {step:?}");
        }
    };
    for (n, i) in why.order.iter().enumerate() {
        line(&mut text, &format!("{:3}.", n + 1), *i);
    }
    text.push_str("  then one of:\n");
    for i in &why.stuck {
        line(&mut text, "  ? ", *i);
    }
    for reached in &why.reached {
        let _ = writeln!(text, "  reached: {reached:?}");
    }
    text
}
