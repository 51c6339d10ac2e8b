//! A worker process: some clients that do at random what real ones do, on purpose and by mistake. It can be
//! stopped, continued and killed like any process; its histories stay.

use std::collections::VecDeque;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use postgres::{NoTls, SimpleQueryMessage};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::history::{Answer, Entry, Journal, Stamp, Verb};
use crate::run::SLOT_KEYS;
use crate::workflow::draw;

/// What a worker process is told, as JSON on its command line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    pub dir: PathBuf,
    /// Names its clients: never used twice in a run.
    pub process: usize,
    pub seed: u64,
    /// Where the server is, and where the proxy in front of it.
    pub direct: PathBuf,
    pub proxy: Option<PathBuf>,
    pub queues: Vec<String>,
    /// A queue for each of its clients, which no other client polls.
    pub own: Vec<String>,
    /// Settings of some clients: statement_timeout and lock_timeout of a few ms; synchronous_commit off.
    pub timeouts: bool,
    pub unflushed: bool,
    /// Some clients stop for longer than a lease lasts.
    pub pauses: bool,
}

/// The files by which the parent tells all workers what to do.
pub fn drain_file(dir: &Path) -> PathBuf {
    dir.join("drain")
}

pub fn stop_file(dir: &Path) -> PathBuf {
    dir.join("stop")
}

pub fn journal_file(dir: &Path, client: &str) -> PathBuf {
    dir.join(format!("{client}.jsonl"))
}

/// What the clients of a process know of each other.
#[derive(Default)]
struct Board {
    /// The last acquire found nothing.
    hungry: bool,
    leases: Vec<(i64, i64)>,
    stale: VecDeque<(i64, i64)>,
    owners: VecDeque<(String, i64)>,
    tasks: VecDeque<i64>,
    items: VecDeque<(i64, String)>,
    runs: VecDeque<i64>,
    /// Runs that were paused when somebody looked, and where.
    paused: VecDeque<(i64, String)>,
    /// Tasks for which a run was paused.
    failed: VecDeque<i64>,
    /// Tasks that undo something.
    undoing: VecDeque<i64>,
    recent: VecDeque<Verb>,
    /// The highest id seen.
    newest: i64,
}

fn remember<T>(line: &mut VecDeque<T>, value: T, most: usize) {
    line.push_back(value);
    if line.len() > most {
        line.pop_front();
    }
}

pub fn run(orders: &Orders) -> Result<()> {
    let board = Arc::new(Mutex::new(Board::default()));
    let threads: Vec<_> = (0..orders.own.len())
        .map(|n| {
            let (orders, board) = (orders.clone(), Arc::clone(&board));
            std::thread::spawn(move || Client::new(&orders, n, board).and_then(Client::work))
        })
        .collect();
    for thread in threads {
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    Ok(())
}

/// One connection and its history.
pub struct Client {
    orders: Orders,
    name: String,
    own: String,
    host: PathBuf,
    settings: String,
    connection: Option<postgres::Client>,
    journal: Journal,
    rng: SmallRng,
    board: Arc<Mutex<Board>>,
    tx: u64,
    /// Calls that are still to be made under a short timeout.
    hurried: u32,
}

impl Client {
    fn new(orders: &Orders, n: usize, board: Arc<Mutex<Board>>) -> Result<Client> {
        let name = format!("c{}.{n}", orders.process);
        let mut rng =
            SmallRng::seed_from_u64(orders.seed ^ ((orders.process as u64) << 32) ^ n as u64);
        let flushed = !(orders.unflushed && rng.random_bool(0.5));
        let host = match &orders.proxy {
            Some(proxy) if n.is_multiple_of(2) => proxy,
            _ => &orders.direct,
        };
        let mut journal = Journal::create(&journal_file(&orders.dir, &name))?;
        journal.write(&Entry::Client {
            name: name.clone(),
            flushed,
        });
        Ok(Client {
            host: host.clone(),
            settings: format!(
                "SET synchronous_commit = {}",
                if flushed { "on" } else { "off" }
            ),
            orders: orders.clone(),
            name,
            own: orders.own[n].clone(),
            connection: None,
            journal,
            rng,
            board,
            tx: 0,
            hurried: 0,
        })
    }

    fn work(mut self) -> Result<()> {
        let parent = parent_id();
        // (a parent that was killed told nobody)
        while !stop_file(&self.orders.dir).exists() && parent_id() == parent {
            if self.connection.is_none() && !self.connect() {
                sleep(Duration::from_millis(20));
                continue;
            }
            if drain_file(&self.orders.dir).exists() {
                self.drain();
            } else {
                self.something();
            }
        }
        Ok(())
    }

    fn connect(&mut self) -> bool {
        let mut config = postgres::Config::new();
        config
            .host_path(&self.host)
            .user("postgres")
            .dbname("stress")
            .application_name(&self.name)
            .connect_timeout(Duration::from_secs(2));
        let Ok(mut connection) = config.connect(NoTls) else {
            return false;
        };
        if connection.batch_execute(&self.settings).is_err() {
            return false;
        }
        self.hurried = 0;
        self.connection = Some(connection);
        let pid = match self.query("SELECT pg_backend_pid()") {
            Answer::Rows(rows) => rows.first().and_then(|row| number(row, 0)),
            _ => None,
        };
        if let Some(pid) = pid {
            self.journal.write(&Entry::Connected { pid: pid as u32 });
        } else {
            self.connection = None;
        }
        self.connection.is_some()
    }

    /// A call that is a transaction of its own.
    fn call(&mut self, verb: Verb) -> Option<Vec<Vec<Option<String>>>> {
        self.hurry();
        self.tx += 1;
        let answer = self.call_within(&verb, true);
        let mut board = self.board.lock().expect("no client panics");
        remember(&mut board.recent, verb.clone(), 100);
        match answer {
            Answer::Rows(rows) => {
                board.learn(&verb, &rows);
                Some(rows)
            }
            Answer::Error { .. } => None,
            Answer::Lost(_) => {
                drop(board);
                // The answer is lost, the question is not.
                if self.rng.random_bool(0.5) && self.connect() {
                    self.tx += 1;
                    self.call_within(&verb, true);
                }
                None
            }
        }
    }

    fn call_within(&mut self, verb: &Verb, alone: bool) -> Answer {
        let tx = self.tx;
        self.journal.write(&Entry::Call {
            tx,
            alone,
            verb: verb.clone(),
            stamp: Stamp::now(),
        });
        let answer = match self.query(&verb.sql()) {
            Answer::Lost(why) => {
                self.connection = None;
                Answer::Lost(why)
            }
            answer => answer,
        };
        self.journal.write(&Entry::Answer {
            tx,
            answer: answer.clone(),
            stamp: Stamp::now(),
        });
        answer
    }

    fn query(&mut self, sql: &str) -> Answer {
        let Some(connection) = self.connection.as_mut() else {
            return Answer::Lost("no connection".to_owned());
        };
        match connection.simple_query(sql) {
            Ok(messages) => Answer::Rows(
                messages
                    .iter()
                    .filter_map(|message| match message {
                        SimpleQueryMessage::Row(row) => Some(
                            (0..row.len())
                                .map(|i| row.get(i).map(str::to_owned))
                                .collect(),
                        ),
                        _ => None,
                    })
                    .collect(),
            ),
            Err(error) => match error.as_db_error() {
                // A server that goes away says so as an error; the transaction may be committed all the same.
                Some(db)
                    if !db.code().code().starts_with("57P")
                        && !db.code().code().starts_with("08") =>
                {
                    Answer::Error {
                        code: db.code().code().to_owned(),
                        message: db.message().to_owned(),
                    }
                }
                _ => Answer::Lost(error.to_string()),
            },
        }
    }

    /// Now and then a client is in a hurry: its next calls have 1 to 50 ms.
    fn hurry(&mut self) {
        if self.hurried > 0 {
            self.hurried -= 1;
            if self.hurried == 0 {
                self.query("SET statement_timeout = 0; SET lock_timeout = 0");
            }
        } else if self.orders.timeouts && self.rng.random_bool(0.03) {
            let (setting, ms) = if self.rng.random_bool(0.5) {
                ("statement_timeout", self.rng.random_range(1..=50))
            } else {
                ("lock_timeout", self.rng.random_range(1..=50))
            };
            self.query(&format!("SET {setting} = {ms}"));
            self.hurried = 5;
        }
    }

    fn something(&mut self) {
        if self.orders.pauses && self.rng.random_bool(0.002) {
            sleep(Duration::from_millis(self.rng.random_range(100..900)));
        }
        let creations = if self.board.lock().expect("no client panics").hungry {
            25
        } else {
            4
        };
        let verb = match self.rng.random_range(0..100) {
            n if n < creations => self.some_creation(),
            0..34 => self.some_acquire(),
            34..76 => match self.some_lease() {
                Some((task, token)) => self.some_work(task, token),
                None => self.some_acquire(),
            },
            76..80 => match self.recent() {
                Some(Verb::WorkflowStart {
                    key, definition, ..
                }) if self.rng.random_bool(0.3) => Verb::WorkflowStart {
                    key,
                    input: draw::input(&mut self.rng),
                    definition,
                },
                Some(verb) => verb,
                None => return,
            },
            80..84 => match self.stale() {
                Some((task, token)) => self.some_work(task, token),
                None => return,
            },
            84..91 => match self.some_task() {
                Some(task) => self.some_control(task),
                None => return,
            },
            91..97 => match self.some_run_control() {
                Some(verb) => verb,
                None => return,
            },
            _ => return self.some_transaction(),
        };
        let polled_own = matches!(&verb, Verb::Acquire { queue, .. } if *queue == self.own);
        let found = self.call(verb);
        if polled_own && found.is_some_and(|rows| rows.is_empty()) {
            self.look_what_was_passed_over();
        }
    }

    /// Nothing was found in the queue that only this client polls. If tasks are ready there for longer than anything may hide
    /// them, and are not found by asking again and again, they never will be.
    fn look_what_was_passed_over(&mut self) {
        let mut passed_over = self.ready_for_long();
        let begun = Instant::now();
        while !passed_over.is_empty() && begun.elapsed() < Duration::from_secs(3) {
            sleep(Duration::from_millis(100));
            let verb = Verb::Acquire {
                queue: self.own.clone(),
                owner: self.owner(),
                ttl_ms: 500,
                max_tasks: 1,
            };
            match self.call(verb) {
                Some(rows) if rows.is_empty() => {}
                _ => return,
            }
            let still = self.ready_for_long();
            passed_over.retain(|task| still.contains(task));
        }
        if !passed_over.is_empty() {
            let queue = self.own.clone();
            self.journal.write(&Entry::Missed {
                queue,
                tasks: passed_over,
            });
        }
    }

    /// Tasks of its own queue that have been ready for 2 s, and that nobody holds just now.
    fn ready_for_long(&mut self) -> Vec<i64> {
        let sql = format!(
            "SELECT task_id FROM baton.task_live JOIN baton.queue USING (queue_id) WHERE name = '{}' AND state = 2 \
             AND ready_at < clock_timestamp() - interval '2 s' FOR UPDATE OF task_live SKIP LOCKED",
            self.own
        );
        match self.query(&sql) {
            Answer::Rows(rows) => rows.iter().filter_map(|row| number(row, 0)).collect(),
            Answer::Error { .. } => Vec::new(),
            Answer::Lost(_) => {
                self.connection = None;
                Vec::new()
            }
        }
    }

    fn some_queue(&mut self) -> String {
        let n = self.rng.random_range(0..self.orders.queues.len());
        self.orders.queues[n].clone()
    }

    fn some_creation(&mut self) -> Verb {
        // In the queues of one client each, too: whoever creates, only that one looks.
        let queue = if self.rng.random_bool(0.3) {
            self.orders.own[self.rng.random_range(0..self.orders.own.len())].clone()
        } else {
            self.some_queue()
        };
        let key = format!("{}-{}", self.name, self.tx);
        let slot_keys = if self.rng.random_bool(0.15) {
            draw::slot_keys(&mut self.rng)
        } else {
            Vec::new()
        };
        match self.rng.random_range(0..10) {
            9 => self.some_start(format!("{key}-run")),
            0 => {
                let n = self.rng.random_range(2..8);
                Verb::CreateMany {
                    queue,
                    keys: (0..n).map(|i| format!("{key}-{i}")).collect(),
                    slot_keys,
                }
            }
            1 => Verb::CreateItems {
                queue,
                name: key,
                // Some are long enough that their line has a past.
                items: if self.rng.random_bool(0.1) {
                    self.rng.random_range(20..60)
                } else {
                    self.rng.random_range(2..9)
                },
                max_parallel: self
                    .rng
                    .random_bool(0.7)
                    .then(|| self.rng.random_range(1..4)),
                successor: self.rng.random_bool(0.5).then(|| "then".to_owned()),
            },
            _ => Verb::Create {
                queue,
                key,
                delay_ms: if self.rng.random_bool(0.2) {
                    self.rng.random_range(1..200)
                } else {
                    0
                },
                max_attempts: self
                    .rng
                    .random_bool(0.3)
                    .then(|| self.rng.random_range(1..4)),
                slot_keys,
            },
        }
    }

    fn some_start(&mut self, key: String) -> Verb {
        let mut queues = self.orders.queues.clone();
        queues.extend(self.orders.own.clone());
        Verb::WorkflowStart {
            key,
            input: draw::input(&mut self.rng),
            definition: draw::definition(&mut self.rng, &queues),
        }
    }

    fn owner(&self) -> String {
        format!("{}-{}", self.name, self.tx + 1)
    }

    /// Who asks for a task by its id may have held it before.
    fn some_owner(&mut self) -> String {
        let board = self.board.lock().expect("no client panics");
        let n = board.owners.len();
        if n > 0 && self.rng.random_bool(0.3) {
            board.owners[self.rng.random_range(0..n)].0.clone()
        } else {
            self.owner()
        }
    }

    fn some_ttl(&mut self) -> i64 {
        if self.rng.random_bool(0.2) {
            100
        } else {
            self.rng.random_range(200..1500)
        }
    }

    fn some_acquire(&mut self) -> Verb {
        let queue = if self.rng.random_bool(0.4) {
            self.own.clone()
        } else {
            self.some_queue()
        };
        Verb::Acquire {
            queue,
            owner: self.owner(),
            ttl_ms: self.some_ttl(),
            max_tasks: if self.rng.random_bool(0.7) {
                1
            } else {
                self.rng.random_range(2..6)
            },
        }
    }

    fn some_lease(&mut self) -> Option<(i64, i64)> {
        let board = self.board.lock().expect("no client panics");
        let n = board.leases.len();
        (n > 0).then(|| board.leases[self.rng.random_range(0..n)])
    }

    fn stale(&mut self) -> Option<(i64, i64)> {
        let board = self.board.lock().expect("no client panics");
        let n = board.stale.len();
        (n > 0).then(|| board.stale[self.rng.random_range(0..n)])
    }

    fn recent(&mut self) -> Option<Verb> {
        let board = self.board.lock().expect("no client panics");
        let n = board.recent.len();
        (n > 0).then(|| board.recent[self.rng.random_range(0..n)].clone())
    }

    /// One that this process knows, or one near it in number, which may be anybody's.
    fn some_task(&mut self) -> Option<i64> {
        let known = {
            let board = self.board.lock().expect("no client panics");
            let n = board.tasks.len();
            (n > 0).then(|| board.tasks[self.rng.random_range(0..n)])?
        };
        Some(match self.rng.random_range(0..10) {
            0..6 => known,
            6..9 => known + self.rng.random_range(-12..13),
            // Perhaps somebody creates it just now.
            _ => {
                let newest = self.board.lock().expect("no client panics").newest;
                newest + self.rng.random_range(1..4)
            }
        })
    }

    fn some_work(&mut self, task: i64, token: i64) -> Verb {
        match self.rng.random_range(0..100) {
            0..6 => Verb::Start { task, token },
            6..18 => Verb::Heartbeat {
                task,
                token,
                ttl_ms: self.some_ttl(),
            },
            18..26 => Verb::Append {
                task,
                token: Some(token),
                dedup_key: self.some_dedup_key(),
            },
            26..39 => self.some_registration(task, token),
            39..60 => Verb::Finalize {
                task,
                token,
                state: self.some_end(task),
                result: self.some_result(),
            },
            60..66 => Verb::FailAttempt {
                task,
                token,
                retry_after_ms: self
                    .rng
                    .random_bool(0.5)
                    .then(|| self.rng.random_range(0..100)),
            },
            66..74 => Verb::Release {
                task,
                token,
                delay_ms: if self.rng.random_bool(0.5) {
                    0
                } else {
                    self.rng.random_range(1..100)
                },
                unless_started: self.rng.random_bool(0.3),
            },
            74..78 => Verb::RequireLease { task, token },
            78..82 => Verb::Annotate {
                task,
                token: Some(token),
                key: format!("{}-{}", self.name, self.tx),
            },
            82..90 => Verb::HeartbeatMany {
                leases: self.some_leases(task, token),
                ttl_ms: self.some_ttl(),
            },
            90..96 => Verb::FinalizeMany {
                leases: self.some_leases(task, token),
                state: self.some_end(task),
            },
            _ => Verb::AcquireById {
                task,
                owner: self.some_owner(),
                ttl_ms: self.some_ttl(),
            },
        }
    }

    fn some_leases(&mut self, task: i64, token: i64) -> Vec<(i64, i64)> {
        let mut leases = vec![(task, token)];
        for _ in 0..self.rng.random_range(1..5) {
            leases.extend(self.some_lease());
        }
        leases.extend(self.stale());
        leases
    }

    /// A compensation of this task, or, of what is one itself, mostly something else.
    fn some_registration(&mut self, task: i64, token: i64) -> Verb {
        if self.undoes(task) && self.rng.random_bool(0.95) {
            return Verb::Start { task, token };
        }
        let (name, payload) = [("undo", 1), ("undo", 2), ("tell", 1)][self.rng.random_range(0..3)];
        Verb::Register {
            task,
            token,
            name: name.to_owned(),
            queue: if self.rng.random_bool(0.2) {
                self.orders.own[self.rng.random_range(0..self.orders.own.len())].clone()
            } else {
                self.some_queue()
            },
            payload: format!(r#"{{"n": {payload}}}"#),
        }
    }

    fn undoes(&self, task: i64) -> bool {
        let board = self.board.lock().expect("no client panics");
        board.undoing.contains(&task)
    }

    fn some_end(&mut self, task: i64) -> String {
        // What undoes something mostly does.
        if self.undoes(task) && self.rng.random_bool(0.85) {
            return "completed".to_owned();
        }
        let ends = [
            "completed",
            "completed",
            "completed",
            "failed",
            "cancelled",
            "quarantined",
        ];
        ends[self.rng.random_range(0..ends.len())].to_owned()
    }

    /// A text, a list from which a step may take its items, or nothing.
    fn some_result(&mut self) -> Option<String> {
        match self.rng.random_range(0..10) {
            0..5 => Some(format!("by {}", self.name)),
            5..7 => Some(draw::list(&mut self.rng)),
            _ => None,
        }
    }

    fn some_dedup_key(&mut self) -> Option<String> {
        self.rng
            .random_bool(0.4)
            .then(|| format!("k{}", self.rng.random_range(0..4)))
    }

    fn some_control(&mut self, task: i64) -> Verb {
        match self.rng.random_range(0..100) {
            0..14 => Verb::Cancel {
                task,
                force: self.rng.random_bool(0.3),
            },
            14..26 => {
                let queue = self.some_queue();
                Verb::Reap {
                    queue: self.rng.random_bool(0.7).then_some(queue),
                    max_tasks: 20,
                }
            }
            26..34 => {
                let board = self.board.lock().expect("no client panics");
                let n = board.owners.len();
                let (owner, up_to_token) = match n {
                    0 => ("nobody".to_owned(), 0),
                    _ => board.owners[self.rng.random_range(0..n)].clone(),
                };
                Verb::ReapOwner { owner, up_to_token }
            }
            34..46 => Verb::AcquireById {
                task,
                owner: self.some_owner(),
                ttl_ms: self.some_ttl(),
            },
            46..62 => Verb::Get { task },
            62..72 => Verb::Tail {
                task,
                after: self.rng.random_range(0..4),
            },
            72..78 => Verb::Annotate {
                task,
                token: None,
                key: format!("{}-{}", self.name, self.tx),
            },
            78..84 => Verb::Append {
                task,
                token: None,
                dedup_key: self.some_dedup_key(),
            },
            84..90 => Verb::Redrive { task },
            90..95 => self.some_slot_set(),
            _ => self.some_dispatch(task),
        }
    }

    /// Somebody who looks after slots: raises a key, lowers it, or closes it for a while.
    fn some_slot_set(&mut self) -> Verb {
        let keys: Vec<&str> = SLOT_KEYS
            .into_iter()
            .filter(|(_, _, changed)| *changed)
            .map(|(key, ..)| key)
            .collect();
        Verb::SlotSet {
            key: keys[self.rng.random_range(0..keys.len())].to_owned(),
            capacity: if self.rng.random_bool(0.2) {
                0
            } else {
                self.rng.random_range(1..=8)
            },
        }
    }

    /// Somebody who looks after runs, and knows more or less where they are.
    fn some_run_control(&mut self) -> Option<Verb> {
        let (run, paused, failed) = {
            let board = self.board.lock().expect("no client panics");
            let some = |n: usize, rng: &mut SmallRng| (n > 0).then(|| rng.random_range(0..n));
            (
                board.runs[some(board.runs.len(), &mut self.rng)?],
                some(board.paused.len(), &mut self.rng).map(|i| board.paused[i].clone()),
                some(board.failed.len(), &mut self.rng).map(|i| board.failed[i]),
            )
        };
        let checkpoint = |rng: &mut SmallRng| format!("by hand {}", rng.random_range(0..2));
        Some(match self.rng.random_range(0..100) {
            0..28 => match paused {
                Some((run, checkpoint)) => Verb::WorkflowResume { run, checkpoint },
                None => Verb::WorkflowGet { run },
            },
            28..32 => Verb::WorkflowResume {
                run,
                checkpoint: checkpoint(&mut self.rng),
            },
            32..44 => Verb::WorkflowPause {
                run,
                checkpoint: checkpoint(&mut self.rng),
            },
            44..49 => Verb::WorkflowCancel {
                run,
                running: ["ask", "leave", "force"][self.rng.random_range(0..3)].to_owned(),
            },
            49..55 => Verb::WorkflowAnnotate {
                run,
                key: format!("{}-{}", self.name, self.tx),
            },
            55..63 => Verb::WorkflowAppend {
                run,
                dedup_key: self.some_dedup_key(),
            },
            63..75 => match failed {
                Some(task) => Verb::Redrive { task },
                None => Verb::WorkflowGet { run },
            },
            _ => Verb::WorkflowGet { run },
        })
    }

    /// A handler of completion messages, at any time, in any order.
    fn some_dispatch(&mut self, task: i64) -> Verb {
        let board = self.board.lock().expect("no client panics");
        match board.items.len() {
            0 => Verb::Get { task },
            n => {
                let (task, name) = board.items[self.rng.random_range(0..n)].clone();
                // All handlers of a group say the same.
                let queues = &self.orders.queues;
                let queue =
                    queues[name.bytes().map(usize::from).sum::<usize>() % queues.len()].clone();
                Verb::Dispatch {
                    task,
                    successor: "after".to_owned(),
                    queue,
                }
            }
        }
    }

    /// Some calls in one transaction, with savepoints, committed or not.
    fn some_transaction(&mut self) {
        self.tx += 1;
        let tx = self.tx;
        let calls = self.rng.random_range(1..4);
        let isolation = match self.rng.random_range(0..10) {
            0 if calls == 1 => "REPEATABLE READ",
            1 if calls == 1 => "SERIALIZABLE",
            _ => "READ COMMITTED",
        };
        if !matches!(
            self.query(&format!("BEGIN ISOLATION LEVEL {isolation}")),
            Answer::Rows(_)
        ) {
            self.connection = None;
            return;
        }
        self.journal.write(&Entry::Begin {
            tx,
            isolation: isolation.to_owned(),
        });
        let mut answered = Vec::new();
        let mut savepoint = false;
        let mut aborted = false;
        let chosen = self.some_lease();
        for n in 0..calls {
            if !savepoint
                && self.rng.random_bool(0.3)
                && matches!(self.query("SAVEPOINT a"), Answer::Rows(_))
            {
                self.journal.write(&Entry::Savepoint { tx });
                savepoint = true;
            }
            let verb = match (chosen, self.rng.random_range(0..10)) {
                (Some((task, token)), 0..5) => self.some_work(task, token),
                (_, 5..7) => match self.some_task() {
                    Some(task) => self.some_control(task),
                    None => self.some_acquire(),
                },
                (_, 8) if self.rng.random_bool(0.2) => {
                    let key = format!("{}-{tx}-{n}-run", self.name);
                    self.some_start(key)
                }
                (_, 7) => match self.some_run_control() {
                    Some(verb) => verb,
                    None => self.some_acquire(),
                },
                _ => self.some_acquire(),
            };
            let answer = self.call_within(&verb, false);
            match answer {
                Answer::Rows(rows) => answered.push((verb, rows)),
                Answer::Error { .. } => aborted = true,
                Answer::Lost(_) => return,
            }
            if savepoint && (aborted || self.rng.random_bool(0.3)) {
                if !matches!(self.query("ROLLBACK TO a"), Answer::Rows(_)) {
                    self.connection = None;
                    return;
                }
                self.journal.write(&Entry::RollbackToSavepoint { tx });
                aborted = false;
            }
            if aborted {
                break;
            }
            if self.orders.pauses && self.rng.random_bool(0.08) {
                sleep(Duration::from_millis(self.rng.random_range(50..400)));
            }
        }
        let commit = !aborted && self.rng.random_bool(0.7);
        if commit {
            self.journal.write(&Entry::Commit {
                tx,
                stamp: Stamp::now(),
            });
        }
        let answer = self.query(if commit { "COMMIT" } else { "ROLLBACK" });
        let committed = match (commit, &answer) {
            (false, _) => Some(false),
            (true, Answer::Rows(_)) => Some(true),
            (true, Answer::Error { .. }) => Some(false),
            (true, Answer::Lost(_)) => None,
        };
        self.journal.write(&Entry::Ended {
            tx,
            committed,
            stamp: Stamp::now(),
        });
        // (A ROLLBACK that was cancelled leaves the transaction as it was.)
        if !matches!(answer, Answer::Rows(_)) {
            self.connection = None;
        }
        let mut board = self.board.lock().expect("no client panics");
        for (verb, rows) in answered {
            // What was rolled back is remembered too: its tokens must be worth nothing.
            board.learn(&verb, &rows);
        }
    }

    /// What is closed is opened.
    fn raise_what_is_closed(&mut self) {
        let closed = match self.query("SELECT name FROM baton.slot_key WHERE capacity = 0") {
            Answer::Rows(rows) => rows,
            Answer::Error { .. } => Vec::new(),
            Answer::Lost(_) => {
                self.connection = None;
                Vec::new()
            }
        };
        for row in closed {
            if let (Some(Some(key)), true) = (row.first().cloned(), self.connection.is_some()) {
                let capacity = self.rng.random_range(1..=8);
                self.call(Verb::SlotSet { key, capacity });
            }
        }
    }

    fn resume_what_is_paused(&mut self) {
        let sql =
            "SELECT run_id, checkpoint FROM baton.run WHERE state = 1 ORDER BY random() LIMIT 5";
        let paused = match self.query(sql) {
            Answer::Rows(rows) => rows,
            Answer::Error { .. } => Vec::new(),
            Answer::Lost(_) => {
                self.connection = None;
                Vec::new()
            }
        };
        for row in paused {
            if let (Some(run), Some(checkpoint), true) = (
                number(&row, 0),
                row.get(1).cloned().flatten(),
                self.connection.is_some(),
            ) {
                self.call(Verb::WorkflowResume { run, checkpoint });
            }
        }
    }

    /// Ends what is left, so that nothing may stay behind.
    fn drain(&mut self) {
        if self.rng.random_bool(0.2) {
            self.resume_what_is_paused();
            self.raise_what_is_closed();
        }
        let queue = if self.rng.random_bool(0.5) {
            self.own.clone()
        } else {
            self.some_queue()
        };
        let verb = Verb::Acquire {
            queue,
            owner: self.owner(),
            ttl_ms: 2000,
            max_tasks: 50,
        };
        let Some(rows) = self.call(verb) else { return };
        let leases: Vec<(i64, i64)> = rows
            .iter()
            .filter_map(|row| Some((number(row, 0)?, number(row, 1)?)))
            .collect();
        if leases.is_empty() {
            sleep(Duration::from_millis(20));
        } else {
            self.call(Verb::FinalizeMany {
                leases,
                state: "completed".to_owned(),
            });
        }
    }
}

pub fn number(row: &[Option<String>], column: usize) -> Option<i64> {
    row.get(column)?.as_ref()?.parse().ok()
}

/// One holder in ten is never heard of again.
fn dies_with(token: i64) -> bool {
    token % 10 == 7
}

impl Board {
    /// What the process knows after an answer.
    fn learn(&mut self, verb: &Verb, rows: &[Vec<Option<String>>]) {
        let word = |column: usize| {
            rows.first()
                .and_then(|row| row.get(column).cloned().flatten())
        };
        match verb {
            Verb::Create { .. } => {
                for row in rows {
                    self.know(number(row, 1));
                }
            }
            Verb::CreateMany { .. } => {
                for row in rows {
                    self.know(number(row, 2));
                }
            }
            Verb::CreateItems { name, .. } => {
                for row in rows {
                    self.know(number(row, 3));
                    if let Some(task) = number(row, 3) {
                        remember(&mut self.items, (task, name.clone()), 50);
                    }
                }
            }
            Verb::Acquire { owner, .. } => {
                self.hungry = rows.is_empty();
                for row in rows {
                    if let (Some(task), Some(token)) = (number(row, 0), number(row, 1)) {
                        if row.get(5).cloned().flatten().as_deref() == Some("t") {
                            remember(&mut self.undoing, task, 200);
                        }
                        self.know(Some(task));
                        remember(&mut self.owners, (owner.clone(), token), 30);
                        if !dies_with(token) {
                            self.leases.push((task, token));
                        }
                    }
                }
            }
            Verb::AcquireById { task, .. } => {
                if let Some(token) = rows.first().and_then(|row| number(row, 2))
                    && !dies_with(token)
                {
                    self.leases.push((*task, token));
                }
            }
            Verb::Finalize { task, token, .. }
            | Verb::FailAttempt { task, token, .. }
            | Verb::Heartbeat { task, token, .. }
            | Verb::Start { task, token }
            | Verb::Release { task, token, .. } => {
                let held = ["extended", "not_extended", "started", "already_started"];
                if !word(0).is_some_and(|word| held.contains(&word.as_str())) {
                    self.forget(*task, *token);
                }
            }
            Verb::FinalizeMany { leases, .. } => {
                for (task, token) in leases {
                    self.forget(*task, *token);
                }
            }
            Verb::WorkflowStart { .. } => {
                if let Some(run) = rows.first().and_then(|row| number(row, 1)) {
                    remember(&mut self.runs, run, 60);
                }
            }
            Verb::WorkflowGet { run } | Verb::WorkflowResume { run, .. } => {
                self.paused.retain(|(paused, _)| paused != run);
                if let (Verb::WorkflowGet { .. }, Some(checkpoint)) = (verb, word(1)) {
                    remember(&mut self.paused, (*run, checkpoint), 40);
                }
                for task in word(2).iter().flat_map(|json| draw::failed(json)) {
                    if !self.failed.contains(&task) {
                        remember(&mut self.failed, task, 20);
                    }
                }
            }
            _ => {}
        }
        while self.leases.len() > 40 {
            self.leases.remove(0);
        }
    }

    fn know(&mut self, task: Option<i64>) {
        if let Some(task) = task {
            remember(&mut self.tasks, task, 60);
            self.newest = self.newest.max(task);
        }
    }

    fn forget(&mut self, task: i64, token: i64) {
        self.leases.retain(|lease| *lease != (task, token));
        remember(&mut self.stale, (task, token), 60);
    }
}

/// For the parent: a client's name as it stands in its file's name.
pub fn journals(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}
