//! A load of clients that do what workers and schedulers do, and a ledger of what they were told.
//!
//! The histories of `cargo stress` tell whether one order of all calls explains all answers. A ledger answers another
//! question, which matters when a server goes away: of what was acknowledged, what is still there? So it knows of each
//! call what it must have left behind, and can be held against any server, again and again, while the load goes on.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postgres::error::{Severity, SqlState};
use postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Connects the client of this number, if there is a server to be reached just now.
pub type Connect = dyn Fn(usize) -> Option<Client> + Send + Sync;

pub struct Plan {
    pub clients: usize,
    pub seed: u64,
    /// Which clients have `synchronous_commit = off`.
    pub unflushed: fn(usize) -> bool,
    /// Errors that the server may answer; whoever gets one knows that nothing has changed.
    pub tolerated: fn(&SqlState) -> bool,
}

/// What a server that is there after a fault may have lost.
#[derive(Clone, Copy, Debug)]
pub enum Keeps {
    /// Only what nobody waited for: calls of clients with `synchronous_commit = off`, except for leases and ends (Z1).
    Durable,
    /// Whatever was last.
    Prefix,
    /// All that was answered before the first moment, and nothing that was begun after the second.
    Until(Instant, Instant),
}

/// What became of the calls since the last fault.
#[derive(Debug)]
pub struct Settled {
    pub kept: usize,
    pub lost: usize,
}

/// The queues and slots of the load, in a database with the extension.
pub const PREPARE: &str = "
    SELECT queue_create('work', lease_ttl => '1 s', max_attempts => 4, max_lost_leases => 1000, backoff_base => '10 ms', backoff_max => '50 ms');
    SELECT slot_set('few', 2);";

/// Between two calls of a client: what is tried is what becomes of calls, not how many there can be.
const PACE: Duration = Duration::from_millis(2);

const DEFINITION: &str = r#"{"steps": [
    {"name": "fetch", "queue": "work", "max_attempts": 20},
    {"name": "each", "queue": "work", "needs": ["fetch"], "when": "done", "with_items": "$.steps.fetch.result.items", "max_parallel": 2},
    {"name": "report", "queue": "work", "needs": ["each"], "when": "done"}], "on_error": "continue"}"#;

/// A call, with all that is to be said in it. `mark` is never used twice.
#[derive(Clone, Debug)]
enum Act {
    Create {
        mark: String,
        slot: bool,
    },
    Group {
        mark: String,
        size: usize,
    },
    Run {
        mark: String,
    },
    Acquire {
        owner: String,
        most: u32,
    },
    Start {
        task: i64,
        token: i64,
    },
    Heartbeat {
        task: i64,
        token: i64,
    },
    Append {
        task: i64,
        token: i64,
        mark: String,
    },
    Finalize {
        task: i64,
        token: i64,
        state: &'static str,
        mark: String,
    },
    Fail {
        task: i64,
        token: i64,
        mark: String,
    },
    Release {
        task: i64,
        token: i64,
    },
    Cancel {
        task: i64,
    },
}

impl Act {
    fn sql(&self) -> String {
        match self {
            Act::Create { mark, slot } => {
                let slots = if *slot { "ARRAY['few']" } else { "NULL" };
                format!(
                    "SELECT * FROM task_create('work', '{{\"mark\": \"{mark}\"}}', key => '{mark}', slot_keys => {slots})"
                )
            }
            Act::Group { mark, size } => {
                let items = vec![format!("{{\"mark\": \"{mark}\"}}"); *size].join("', '");
                format!(
                    "SELECT * FROM task_create_items('work', 'items', ARRAY['{items}']::jsonb[], max_parallel => 2, key => '{mark}', successor => 'after')"
                )
            }
            Act::Run { mark } => {
                format!(
                    "SELECT * FROM workflow_start(input => '{{\"mark\": \"{mark}\"}}', key => '{mark}', definition => '{DEFINITION}')"
                )
            }
            Act::Acquire { owner, most } => {
                format!("SELECT * FROM task_acquire_lease('work', '{owner}', max_tasks => {most})")
            }
            Act::Start { task, token } => format!("SELECT * FROM task_start({task}, {token})"),
            Act::Heartbeat { task, token } => {
                format!("SELECT * FROM task_heartbeat({task}, {token})")
            }
            Act::Append { task, token, mark } => {
                format!(
                    "SELECT * FROM task_append_event({task}, 'progress', '{{\"mark\": \"{mark}\"}}', {token}, '{mark}')"
                )
            }
            Act::Finalize {
                task,
                token,
                state,
                mark,
            } => {
                format!(
                    "SELECT * FROM task_finalize({task}, {token}, '{state}', '{{\"mark\": \"{mark}\", \"items\": [1, 2, 3]}}')"
                )
            }
            Act::Fail { task, token, mark } => format!(
                "SELECT * FROM task_fail_attempt({task}, {token}, '{{\"mark\": \"{mark}\"}}')"
            ),
            Act::Release { task, token } => {
                format!("SELECT * FROM task_release({task}, {token}, '10 ms')")
            }
            Act::Cancel { task } => format!("SELECT * FROM task_cancel({task}, force => true)"),
        }
    }

    /// Leases and ends wait for their flush whatever the caller has set (Z1).
    fn is_durable(&self) -> bool {
        !matches!(
            self,
            Act::Create { .. }
                | Act::Group { .. }
                | Act::Run { .. }
                | Act::Heartbeat { .. }
                | Act::Append { .. }
        )
    }

    /// The mark of the end that it asks for.
    fn end(&self) -> Option<&String> {
        match self {
            Act::Finalize { mark, .. } | Act::Fail { mark, .. } => Some(mark),
            _ => None,
        }
    }
}

/// What an acknowledged call has left behind.
#[derive(Debug)]
enum Trace {
    /// With this mark in its payload, or with any.
    Task {
        task: i64,
        mark: Option<String>,
    },
    Run {
        run: i64,
        mark: String,
    },
    Event {
        task: i64,
        kind: &'static str,
        token: Option<i64>,
        mark: Option<String>,
        state: Option<String>,
    },
}

#[derive(Debug)]
struct Call {
    act: Act,
    begun: Instant,
    answered: Instant,
    durable: bool,
    traces: Vec<Trace>,
    /// The task that it was told to have ended.
    ended: Option<i64>,
}

/// All that was acknowledged and, as far as anybody knows, is kept.
#[derive(Default)]
pub struct Ledger {
    calls: Vec<Call>,
    /// So many of them have outlived a fault: they must be there for ever.
    settled: usize,
    /// The marks of ends that were asked for, and not refused: no other may be shown.
    asked: HashSet<String>,
    /// Who ended a task.
    ended: HashMap<i64, String>,
    /// All tokens ever acknowledged, and the last of each task; neither forgets what a server has lost.
    tokens: HashSet<i64>,
    last_token: HashMap<i64, i64>,
    greatest_token: i64,
    /// Tokens handed out from now on must be greater.
    token_floor: i64,
    answers: usize,
    unknown: usize,
    violations: Vec<String>,
}

impl Ledger {
    /// (calls that were answered, calls without an answer)
    pub fn counts(&self) -> (usize, usize) {
        (self.answers, self.unknown)
    }

    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    fn heard(&mut self, act: &Act, flushed: bool, begun: Instant, rows: &[SimpleQueryRow]) {
        self.answers += 1;
        let number = |row: &SimpleQueryRow, column| {
            row.try_get(column)
                .ok()
                .flatten()
                .and_then(|text| text.parse::<i64>().ok())
        };
        let text = |column| {
            rows.first()
                .and_then(|row| row.try_get(column).ok().flatten())
        };
        let first = |column| rows.first().and_then(|row| number(row, column));
        let event = |task: i64, kind, token: i64, mark: Option<&String>| Trace::Event {
            task,
            kind,
            token: Some(token),
            mark: mark.cloned(),
            state: None,
        };
        let mut ended = None;
        let outcome = text("outcome").unwrap_or_default();
        let traces = match (act, outcome) {
            (Act::Create { mark, .. }, "created" | "exists") => {
                let task = first("task_id").unwrap_or_default();
                vec![Trace::Task {
                    task,
                    mark: Some(mark.clone()),
                }]
            }
            (Act::Group { mark, .. }, "created" | "exists") => rows
                .iter()
                .map(|row| Trace::Task {
                    task: number(row, "task_id").unwrap_or_default(),
                    mark: Some(mark.clone()),
                })
                .collect(),
            (Act::Run { mark }, "started" | "exists") => vec![Trace::Run {
                run: first("run_id").unwrap_or_default(),
                mark: mark.clone(),
            }],
            (Act::Acquire { .. }, _) => {
                let mut traces = Vec::new();
                for row in rows {
                    let (Some(task), Some(token)) =
                        (number(row, "task_id"), number(row, "lease_token"))
                    else {
                        continue;
                    };
                    self.leased(task, token);
                    traces.push(event(task, "leased", token, None));
                }
                traces
            }
            (Act::Start { task, token }, "started") => vec![event(*task, "started", *token, None)],
            (Act::Append { task, token, mark }, "appended" | "exists") => {
                vec![event(*task, "progress", *token, Some(mark))]
            }
            (Act::Fail { task, token, mark }, "retry_scheduled") => {
                vec![event(*task, "retry_scheduled", *token, Some(mark))]
            }
            (Act::Release { task, token }, "released") => {
                vec![event(*task, "released", *token, None)]
            }
            (
                Act::Finalize {
                    task, token, mark, ..
                }
                | Act::Fail { task, token, mark },
                "finalized" | "already_finalized",
            ) => {
                if outcome == "finalized" {
                    ended = Some((*task, mark.clone()));
                }
                let state = text("state").map(str::to_owned);
                let dispatched = text("dispatched")
                    .unwrap_or_default()
                    .trim_matches(['{', '}']);
                let mut traces = vec![Trace::Event {
                    task: *task,
                    kind: "final",
                    token: Some(*token),
                    mark: Some(mark.clone()),
                    state,
                }];
                traces.extend(
                    dispatched
                        .split(',')
                        .filter_map(|id| id.parse().ok())
                        .map(|task| Trace::Task { task, mark: None }),
                );
                traces
            }
            (Act::Cancel { task }, "cancelled") => {
                ended = Some((*task, "cancelled".to_owned()));
                let state = text("state").map(str::to_owned);
                vec![Trace::Event {
                    task: *task,
                    kind: "final",
                    token: None,
                    mark: None,
                    state,
                }]
            }
            _ => {
                self.refused(act);
                Vec::new()
            }
        };
        if let Some((task, mark)) = &ended
            && let Some(other) = self.ended.insert(*task, mark.clone())
        {
            self.violations.push(format!(
                "task {task} was ended twice, by {other} and by {mark}"
            ));
        }
        if !traces.is_empty() {
            self.calls.push(Call {
                act: act.clone(),
                begun,
                answered: Instant::now(),
                durable: flushed || act.is_durable(),
                traces,
                ended: ended.map(|(task, _)| task),
            });
        }
    }

    fn leased(&mut self, task: i64, token: i64) {
        if !self.tokens.insert(token) {
            self.violations.push(format!(
                "the token {token} was handed out twice, now for task {task}"
            ));
        } else if token <= self.token_floor {
            let floor = self.token_floor;
            self.violations.push(format!("the token {token} of task {task} is not greater than {floor}, which another server has handed out"));
        }
        if let Some(last) = self.last_token.insert(task, token)
            && last >= token
        {
            self.violations.push(format!(
                "task {task} had the token {last}, and then {token}"
            ));
        }
        self.greatest_token = self.greatest_token.max(token);
    }

    /// It was answered that nothing has changed.
    fn refused(&mut self, act: &Act) {
        if let Some(mark) = act.end() {
            self.asked.remove(mark);
        }
    }

    /// After a fault, while the load holds: what is still there? What may be lost and is, is forgotten; what must not be
    /// lost and is, is a violation, and so is a call that survived one before it.
    pub fn settle(&mut self, server: &mut Client, keeps: Keeps) -> Result<Settled> {
        let world = World::read(server)?;
        Ok(self.judge(&world, keeps))
    }

    fn judge(&mut self, world: &World, keeps: Keeps) -> Settled {
        let fresh = self.calls.split_off(self.settled);
        let (mut kept, mut lost) = (Vec::new(), Vec::new());
        for call in fresh {
            match world.shows(&call) {
                Ok(()) => kept.push(call),
                Err(Missing::All) => lost.push(call),
                Err(Missing::Some(what)) => {
                    self.violations
                        .push(format!("half of a call is there, without {what}: {call:?}"));
                    lost.push(call);
                }
            }
        }
        // Commits are in one order, and what was answered had committed: who begins later commits later.
        let last = kept.iter().max_by_key(|call| call.begun);
        for call in &lost {
            let must = match keeps {
                Keeps::Durable => call.durable,
                Keeps::Prefix => false,
                Keeps::Until(before, _) => call.answered < before,
            };
            if must {
                self.violations.push(format!("lost: {call:?}"));
            } else if let Some(last) = last.filter(|last| call.answered < last.begun) {
                self.violations.push(format!("no prefix: {call:?} is lost, and {last:?} is not, which began when it was answered"));
            }
        }
        if let Keeps::Until(_, after) = keeps {
            let late = kept.iter().filter(|call| call.begun > after);
            self.violations
                .extend(late.map(|call| format!("begun after the moment of recovery: {call:?}")));
        }
        for call in &lost {
            if let Some(task) = call.ended {
                self.ended.remove(&task);
            }
        }
        let settled = Settled {
            kept: kept.len(),
            lost: lost.len(),
        };
        self.calls.append(&mut kept);
        self.settled = self.calls.len();
        self.token_floor = self.greatest_token;
        self.examine(world, false);
        settled
    }

    /// After the load: all that was acknowledged is there and has come to its end.
    pub fn check(&mut self, server: &mut Client) -> Result<()> {
        self.examine(&World::read(server)?, true);
        Ok(())
    }

    fn examine(&mut self, world: &World, drained: bool) {
        let mut found = world.broken.clone();
        for call in &self.calls {
            if let Err(missing) = world.shows(call) {
                found.push(format!("gone ({missing:?}): {call:?}"));
            }
        }
        for (id, task) in &world.tasks {
            let ends = task
                .tape
                .iter()
                .filter(|event| event.kind == "final")
                .count();
            let last = task.tape.last();
            let ended = last.filter(|event| event.kind == "final");
            if ends > 1 || (ends == 1) != task.is_over() || ended.is_some() != task.is_over() {
                found.push(format!(
                    "task {id} is {} and has {ends} ends on its tape: {:?}",
                    task.state, task.tape
                ));
            }
            if drained && !task.is_over() {
                found.push(format!("task {id} never came to its end: {task:?}"));
            }
            match ended.map(|event| (&event.mark, event.state.as_deref())) {
                Some((Some(mark), _)) if !self.asked.contains(mark) => found.push(format!(
                    "task {id} shows an end that was refused, or nobody's: {mark}"
                )),
                Some((None, Some("completed"))) => {
                    found.push(format!("task {id} is completed by nobody"))
                }
                Some((_, state)) if state != Some(&task.state) => found.push(format!(
                    "task {id} is {}, and its tape says {state:?}",
                    task.state
                )),
                _ => {}
            }
            let tokens: Vec<i64> = task
                .tape
                .iter()
                .filter(|event| event.kind == "leased")
                .filter_map(|event| event.token)
                .collect();
            if !tokens.is_sorted_by(|a, b| a < b) {
                found.push(format!("the tokens of task {id} do not grow: {tokens:?}"));
            }
        }
        let mut groups: HashMap<i64, Vec<&Task>> = HashMap::new();
        for task in world.tasks.values() {
            groups
                .entry(task.run.unwrap_or_default())
                .or_default()
                .push(task);
        }
        for call in &self.calls {
            let (Act::Group { size, .. }, Some(Trace::Task { task, .. })) =
                (&call.act, call.traces.first())
            else {
                continue;
            };
            let Some(run) = world.tasks.get(task).and_then(|task| task.run) else {
                continue;
            };
            let tasks = &groups[&run];
            let items = tasks
                .iter()
                .filter(|task| task.name.as_deref() == Some("items"));
            let ended = items.filter(|task| task.is_over()).count();
            let successors = tasks
                .iter()
                .filter(|task| task.name.as_deref() == Some("after"))
                .count();
            if successors > 1 || (successors == 1 && ended < *size) || (drained && successors != 1)
            {
                found.push(format!(
                    "group {run} of {size}, {ended} of them ended, has {successors} successors"
                ));
            }
        }
        if drained {
            let open = world.runs.iter().filter(|(_, run)| !run.over);
            found.extend(open.map(|(id, _)| format!("run {id} never came to its end")));
        }
        self.violations.append(&mut found);
    }
}

/// What a server shows of the load, by its own functions.
#[derive(Default)]
struct World {
    tasks: HashMap<i64, Task>,
    /// Those with a definition; who makes a group ends its run, or leaves it.
    runs: HashMap<i64, RunShown>,
    /// What `baton_check(true)` says.
    broken: Vec<String>,
}

#[derive(Debug)]
struct Task {
    mark: Option<String>,
    state: String,
    run: Option<i64>,
    name: Option<String>,
    tape: Vec<Event>,
}

#[derive(Debug)]
struct Event {
    kind: String,
    token: Option<i64>,
    mark: Option<String>,
    state: Option<String>,
}

struct RunShown {
    key: Option<String>,
    over: bool,
}

#[derive(Debug)]
enum Missing {
    All,
    Some(String),
}

impl Task {
    fn is_over(&self) -> bool {
        is_over(&self.state)
    }
}

fn is_over(state: &str) -> bool {
    OVER.contains(&state)
}

const OVER: [&str; 5] = [
    "completed",
    "failed",
    "cancelled",
    "compensated",
    "quarantined",
];

impl World {
    fn read(server: &mut Client) -> Result<World> {
        let mut snapshot = server
            .build_transaction()
            .isolation_level(postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()?;
        let tasks = snapshot.query("SELECT g.task_id, g.payload ->> 'mark', g.state, g.run_id, g.name FROM baton.task t, task_get(t.task_id) g WHERE g.queue = 'work'", &[])?;
        let mut tasks: HashMap<i64, Task> = tasks
            .iter()
            .map(|row| {
                (
                    row.get(0),
                    Task {
                        mark: row.get(1),
                        state: row.get(2),
                        run: row.get(3),
                        name: row.get(4),
                        tape: Vec::new(),
                    },
                )
            })
            .collect();
        let events = "SELECT t.task_id, e.kind, e.lease_token, coalesce(e.body ->> 'mark', e.body -> 'result' ->> 'mark', e.body -> 'error' ->> 'mark'),
            e.body ->> 'state' FROM baton.task t JOIN baton.queue q USING (queue_id), task_events(t.task_id, 0, 100000) e WHERE q.name = 'work' ORDER BY t.task_id, e.seq";
        for row in snapshot.query(events, &[])? {
            let task = tasks
                .get_mut(&row.get(0))
                .context("a tape without its task")?;
            task.tape.push(Event {
                kind: row.get(1),
                token: row.get(2),
                mark: row.get(3),
                state: row.get(4),
            });
        }
        let runs = snapshot.query(
            "SELECT g.run_id, g.key, g.state FROM baton.run r, workflow_get(r.run_id) g WHERE r.workflow_id IS NOT NULL",
            &[],
        )?;
        let runs = runs
            .iter()
            .map(|row| {
                (
                    row.get(0),
                    RunShown {
                        key: row.get(1),
                        over: is_over(row.get(2)),
                    },
                )
            })
            .collect();
        let broken = snapshot.query("SELECT to_jsonb(c)::text FROM baton_check(true) c", &[])?;
        let broken = broken
            .iter()
            .map(|row| format!("baton_check: {}", row.get::<_, String>(0)))
            .collect();
        snapshot.commit()?;
        Ok(World {
            tasks,
            runs,
            broken,
        })
    }

    /// Whether all that the call has left behind is there, or none of it.
    fn shows(&self, call: &Call) -> Result<(), Missing> {
        let own = |trace: &&Trace| !matches!(trace, Trace::Task { mark: None, .. });
        let missing: Vec<&Trace> = call
            .traces
            .iter()
            .filter(|trace| !self.has(trace))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else if missing.iter().copied().filter(own).count()
            == call.traces.iter().filter(own).count()
        {
            Err(Missing::All)
        } else {
            Err(Missing::Some(format!("{missing:?}")))
        }
    }

    fn has(&self, trace: &Trace) -> bool {
        match trace {
            Trace::Task { task, mark } => self
                .tasks
                .get(task)
                .is_some_and(|found| mark.is_none() || found.mark == *mark),
            Trace::Run { run, mark } => self
                .runs
                .get(run)
                .is_some_and(|found| found.key.as_ref() == Some(mark)),
            Trace::Event {
                task,
                kind,
                token,
                mark,
                state,
            } => self.tasks.get(task).is_some_and(|found| {
                found.tape.iter().any(|event| {
                    event.kind == *kind
                        && event.token == *token
                        && (mark.is_none() || event.mark == *mark)
                        && (state.is_none() || event.state == *state)
                })
            }),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Work,
    /// Nothing new is created; what is there is brought to its end.
    Drain,
    Hold,
    Stop,
}

struct Shared {
    plan: Plan,
    connect: Box<Connect>,
    ledger: Mutex<Ledger>,
    /// What the clients are to do, and how many of them rest.
    mode: Mutex<(Mode, usize)>,
    changed: Condvar,
}

/// Clients at work, each a thread with a connection of its own.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(plan: Plan, connect: Box<Connect>) -> Load {
        let clients = plan.clients;
        let shared = Arc::new(Shared {
            plan,
            connect,
            ledger: Mutex::default(),
            mode: Mutex::new((Mode::Work, 0)),
            changed: Condvar::new(),
        });
        let clients = (0..clients)
            .map(|number| {
                let caller = Caller::new(number, Arc::clone(&shared));
                std::thread::spawn(move || caller.work())
            })
            .collect();
        Load { shared, clients }
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger.lock().expect("no client panics")
    }

    /// Returns when no client is in a call.
    pub fn hold(&self) {
        self.tell(Mode::Hold);
        let mode = self.shared.mode.lock().expect("no client panics");
        let all = |mode: &mut (Mode, usize)| mode.1 < self.clients.len();
        drop(self.shared.changed.wait_while(mode, all));
    }

    pub fn go_on(&self) {
        self.tell(Mode::Work);
    }

    /// Brings all there is to its end, and stops.
    pub fn drain(&mut self, server: &mut Client, patience: Duration) -> Result<()> {
        self.tell(Mode::Drain);
        let begun = Instant::now();
        loop {
            let left = "SELECT coalesce(string_agg(format('%s %s %s', count, what, state), ', '), '') FROM (
                SELECT 'tasks' AS what, g.state, count(*) FROM baton.task_live l, task_get(l.task_id) g WHERE g.queue = 'work' GROUP BY 2
                UNION ALL SELECT 'runs', g.state, count(*) FROM baton.run r, workflow_get(r.run_id) g
                    WHERE r.workflow_id IS NOT NULL AND NOT g.state = ANY ($1) GROUP BY 2) AS left_over";
            let left: String = server.query_one(left, &[&OVER.as_slice()])?.get(0);
            if left.is_empty() {
                break;
            }
            ensure!(
                begun.elapsed() < patience,
                "these do not come to their end: {left}"
            );
            sleep(Duration::from_millis(50));
        }
        self.stop();
        Ok(())
    }

    pub fn stop(&mut self) {
        self.tell(Mode::Stop);
        for client in self.clients.drain(..) {
            client.join().expect("no client panics");
        }
    }

    fn tell(&self, what: Mode) {
        self.shared.mode.lock().expect("no client panics").0 = what;
        self.shared.changed.notify_all();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Caller {
    number: usize,
    shared: Arc<Shared>,
    rng: SmallRng,
    connection: Option<Client>,
    serial: usize,
    held: Vec<(i64, i64)>,
    /// The task it created last.
    created: Option<i64>,
    /// What it never heard the answer to: it is asked again, as a client does.
    unheard: Option<Act>,
    hungry: bool,
}

impl Caller {
    fn new(number: usize, shared: Arc<Shared>) -> Caller {
        let rng = SmallRng::seed_from_u64(shared.plan.seed ^ ((number as u64) << 32));
        Caller {
            number,
            shared,
            rng,
            connection: None,
            serial: 0,
            held: Vec::new(),
            created: None,
            unheard: None,
            hungry: true,
        }
    }

    fn flushed(&self) -> bool {
        !(self.shared.plan.unflushed)(self.number)
    }

    fn work(mut self) {
        loop {
            let mode = self.told();
            if mode == Mode::Stop {
                return;
            }
            if self.connection.is_none() && !self.connect() {
                sleep(Duration::from_millis(20));
            } else if let Some(act) = self.unheard.take() {
                self.call(act);
            } else {
                self.something(mode);
                sleep(PACE);
            }
        }
    }

    /// What to do next, once it is not to rest.
    fn told(&self) -> Mode {
        let mut mode = self.shared.mode.lock().expect("no client panics");
        if mode.0 == Mode::Hold {
            mode.1 += 1;
            self.shared.changed.notify_all();
            mode = self
                .shared
                .changed
                .wait_while(mode, |mode| mode.0 == Mode::Hold)
                .expect("no client panics");
            mode.1 -= 1;
        }
        mode.0
    }

    fn connect(&mut self) -> bool {
        self.connection =
            (self.shared.connect)(self.number).filter(|connection| !connection.is_closed());
        if !self.flushed()
            && let Some(connection) = &mut self.connection
            && connection
                .batch_execute("SET synchronous_commit = off")
                .is_err()
        {
            self.connection = None;
        }
        self.connection.is_some()
    }

    fn something(&mut self, mode: Mode) {
        let busy = !self.held.is_empty() && self.rng.random_bool(0.8);
        if mode == Mode::Work && !busy && self.rng.random_bool(if self.hungry { 0.6 } else { 0.1 })
        {
            let mark = self.mark();
            let act = match (self.rng.random_range(0..100), self.created.take()) {
                (0..8, Some(task)) => Act::Cancel { task },
                (0..70, _) => Act::Create {
                    mark,
                    slot: self.rng.random_bool(0.2),
                },
                (70..90, _) => Act::Group {
                    mark,
                    size: self.rng.random_range(1..5),
                },
                _ => Act::Run { mark },
            };
            self.call(act);
        } else if busy || (mode == Mode::Drain && !self.held.is_empty()) {
            self.work_on_a_lease(mode);
        } else {
            let act = Act::Acquire {
                owner: format!("client-{}", self.number),
                most: self.rng.random_range(1..4),
            };
            self.call(act);
            if self.hungry && mode == Mode::Drain {
                sleep(Duration::from_millis(20));
            }
        }
    }

    fn work_on_a_lease(&mut self, mode: Mode) {
        let chosen = self.rng.random_range(0..self.held.len());
        let (task, token) = self.held[chosen];
        let mark = self.mark();
        let draw = if mode == Mode::Drain {
            60
        } else {
            self.rng.random_range(0..100)
        };
        let act = match draw {
            0..12 => Act::Start { task, token },
            12..24 => Act::Heartbeat { task, token },
            24..50 => Act::Append { task, token, mark },
            50..88 => Act::Finalize {
                task,
                token,
                state: if self.rng.random_bool(0.9) {
                    "completed"
                } else {
                    "failed"
                },
                mark,
            },
            88..94 => Act::Fail { task, token, mark },
            94..98 => Act::Release { task, token },
            _ => {
                self.held.swap_remove(chosen); // a worker that forgets: the lease runs out
                return;
            }
        };
        if draw >= 50 {
            self.held.swap_remove(chosen);
        }
        self.call(act);
    }

    fn mark(&mut self) -> String {
        self.serial += 1;
        format!("{}-{}", self.number, self.serial)
    }

    fn call(&mut self, act: Act) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        if let Some(mark) = act.end() {
            shared
                .ledger
                .lock()
                .expect("no client panics")
                .asked
                .insert(mark.clone());
        }
        let begun = Instant::now();
        let answer = connection.simple_query(&act.sql());
        let mut ledger = shared.ledger.lock().expect("no client panics");
        match answer {
            Ok(messages) => {
                let rows: Vec<SimpleQueryRow> = messages
                    .into_iter()
                    .filter_map(|message| match message {
                        SimpleQueryMessage::Row(row) => Some(row),
                        _ => None,
                    })
                    .collect();
                ledger.heard(&act, self.flushed(), begun, &rows);
                drop(ledger);
                self.learn(&act, &rows);
            }
            // A server that goes away says so as an error: nobody knows what became of the call.
            Err(error)
                if error.as_db_error().is_none_or(|said| {
                    said.parsed_severity() == Some(Severity::Panic)
                        || said.code().code().starts_with("57P")
                        || said.code().code().starts_with("08")
                }) =>
            {
                ledger.unknown += 1;
                self.connection = None;
                if !matches!(act, Act::Acquire { .. }) {
                    self.unheard = Some(act);
                }
            }
            Err(error) => {
                ledger.refused(&act);
                if !error.code().is_some_and(shared.plan.tolerated) {
                    ledger
                        .violations
                        .push(format!("{act:?} was answered {error:?}"));
                }
                drop(ledger);
                sleep(Duration::from_millis(20));
            }
        }
    }

    fn learn(&mut self, act: &Act, rows: &[SimpleQueryRow]) {
        let number = |row: &SimpleQueryRow, column| {
            row.try_get(column)
                .ok()
                .flatten()
                .and_then(|text| text.parse::<i64>().ok())
        };
        match act {
            Act::Create { .. } => {
                self.created = rows.first().and_then(|row| number(row, "task_id"))
            }
            Act::Acquire { .. } => {
                self.hungry = rows.is_empty();
                let leases = rows
                    .iter()
                    .filter_map(|row| Some((number(row, "task_id")?, number(row, "lease_token")?)));
                self.held.extend(leases);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server shows that has all of these, and of which it can be said that task 7 is completed.
    fn shown(events: &[(&str, Option<i64>, Option<&str>)]) -> World {
        let tape = events.iter().map(|(kind, token, mark)| Event {
            kind: (*kind).to_owned(),
            token: *token,
            mark: mark.map(str::to_owned),
            state: (*kind == "final").then(|| "completed".to_owned()),
        });
        let task = Task {
            mark: Some("a".to_owned()),
            state: "completed".to_owned(),
            run: None,
            name: None,
            tape: tape.collect(),
        };
        World {
            tasks: [(7, task)].into(),
            ..World::default()
        }
    }

    fn event(kind: &'static str, token: i64, mark: Option<&str>) -> Trace {
        Trace::Event {
            task: 7,
            kind,
            token: Some(token),
            mark: mark.map(str::to_owned),
            state: None,
        }
    }

    /// Calls that were made one after the other, each for 1 ms; those whose kind is `leased` or `final` are durable.
    fn told(traces: Vec<Vec<Trace>>) -> Ledger {
        let begun = Instant::now();
        let mut ledger = Ledger::default();
        ledger.asked.insert("end".to_owned());
        for (n, traces) in traces.into_iter().enumerate() {
            let durable = traces.iter().any(|trace| {
                matches!(
                    trace,
                    Trace::Event {
                        kind: "leased" | "final",
                        ..
                    }
                )
            });
            let begun = begun + Duration::from_millis(2 * n as u64);
            let act = Act::Start { task: 7, token: 1 };
            ledger.calls.push(Call {
                act,
                begun,
                answered: begun + Duration::from_millis(1),
                durable,
                traces,
                ended: None,
            });
        }
        ledger
    }

    fn life() -> Ledger {
        let created = Trace::Task {
            task: 7,
            mark: Some("a".to_owned()),
        };
        told(vec![
            vec![created],
            vec![event("leased", 1, None)],
            vec![event("progress", 1, Some("b"))],
            vec![event("final", 1, Some("end"))],
        ])
    }

    const WHOLE: [(&str, Option<i64>, Option<&str>); 3] = [
        ("leased", Some(1), None),
        ("progress", Some(1), Some("b")),
        ("final", Some(1), Some("end")),
    ];

    #[test]
    fn what_is_all_there_is_right() {
        let mut ledger = life();
        assert_eq!(ledger.judge(&shown(&WHOLE), Keeps::Durable).kept, 4);
        ledger.examine(&shown(&WHOLE), true);
        assert_eq!(ledger.violations, Vec::<String>::new());
    }

    fn finds(mut ledger: Ledger, world: &World, keeps: Keeps, what: &str) {
        ledger.judge(world, keeps);
        assert!(
            ledger
                .violations
                .iter()
                .any(|violation| violation.contains(what)),
            "no {what:?} in {:?}",
            ledger.violations
        );
    }

    #[test]
    fn a_lost_end_is_found_but_where_it_may_be_lost() {
        let without_end = || {
            let mut world = shown(&WHOLE[..2]);
            world.tasks.get_mut(&7).unwrap().state = "running".to_owned();
            world
        };
        finds(life(), &without_end(), Keeps::Durable, "lost: ");
        let mut ledger = life();
        assert_eq!(ledger.judge(&without_end(), Keeps::Prefix).lost, 1);
        assert_eq!(ledger.violations, Vec::<String>::new());
        // What it has had, it must have for ever.
        ledger.examine(&World::default(), false);
        assert!(ledger.violations[0].starts_with("gone"));
    }

    #[test]
    fn a_hole_is_no_prefix() {
        finds(
            life(),
            &shown(&[WHOLE[0], WHOLE[2]]),
            Keeps::Prefix,
            "no prefix",
        );
    }

    #[test]
    fn half_of_a_call_is_found() {
        let both = told(vec![vec![
            event("leased", 1, None),
            event("leased", 2, None),
        ]]);
        finds(both, &shown(&WHOLE), Keeps::Prefix, "half of a call");
    }

    #[test]
    fn a_moment_has_two_sides() {
        let long_ago = Instant::now() - Duration::from_secs(60);
        finds(
            life(),
            &shown(&WHOLE),
            Keeps::Until(long_ago, long_ago),
            "begun after",
        );
        let later = Instant::now() + Duration::from_secs(60);
        finds(
            life(),
            &World::default(),
            Keeps::Until(later, later),
            "lost: ",
        );
    }

    #[test]
    fn an_end_that_nobody_asked_for_or_two_are_found() {
        let mut refused = life();
        refused.refused(&Act::Fail {
            task: 7,
            token: 1,
            mark: "end".to_owned(),
        });
        finds(refused, &shown(&WHOLE), Keeps::Durable, "refused");
        finds(
            life(),
            &shown(&[WHOLE[0], WHOLE[1], WHOLE[2], WHOLE[2]]),
            Keeps::Durable,
            "has 2 ends",
        );
    }

    #[test]
    fn a_token_that_comes_back_is_found() {
        let mut ledger = life();
        ledger.leased(7, 1);
        ledger.leased(8, 2);
        assert_eq!(ledger.violations, Vec::<String>::new());
        ledger.leased(9, 2);
        assert!(ledger.violations[0].contains("twice"));
        ledger.judge(&shown(&WHOLE), Keeps::Prefix);
        ledger.leased(10, 2);
        assert!(ledger.violations.last().unwrap().contains("twice"));
        ledger.leased(11, 1_000);
        let before = ledger.violations.len();
        ledger.judge(&shown(&WHOLE), Keeps::Prefix);
        ledger.leased(12, 999);
        assert!(
            ledger.violations[before..]
                .iter()
                .any(|violation| violation.contains("another server"))
        );
    }
}
