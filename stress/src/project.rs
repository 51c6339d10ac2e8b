//! From the histories of clients to the histories of tasks, and what can be told from all of them together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::acts::{self, Known, Row, acts};
use crate::checker::{Fate, Op, Step};
use crate::history::{Answer, Entry, Stamp, Verb};
use crate::model::state::State;
use crate::spec::{Act, Queue, Reply, Window};
use crate::worker::number;

/// A task as the database shows it at the end.
#[derive(Clone, Debug)]
pub struct Last {
    pub task: i64,
    pub queue: String,
    pub name: Option<String>,
    pub key: Option<String>,
    pub run: Option<i64>,
    pub max_attempts: i32,
    /// The columns of `Verb::Get`.
    pub columns: Row,
    pub tape: Vec<TapeEvent>,
}

#[derive(Clone, Debug)]
pub struct TapeEvent {
    pub seq: i64,
    pub kind: String,
    pub token: Option<i64>,
    pub at: i64,
    pub owner: Option<String>,
}

#[derive(Default)]
pub struct Projected {
    /// The history of each task.
    pub tasks: BTreeMap<i64, Vec<Op>>,
    /// What is wrong whatever the order was.
    pub violations: Vec<String>,
    pub calls: usize,
    pub unknown: usize,
    pub failed: usize,
    /// When which process of the server was in a transaction with several calls, in µs.
    pub several: Vec<(u32, i64, i64)>,
    /// The server processes of clients.
    pub pids: HashSet<u32>,
    /// How often each outcome was answered.
    pub outcomes: BTreeMap<String, usize>,
}

struct Tx {
    label: String,
    pid: u32,
    flushed: bool,
    alone: bool,
    isolation: String,
    steps: Vec<TxStep>,
    commit: Option<Stamp>,
    ended: Option<(Option<bool>, Stamp)>,
}

enum TxStep {
    Call {
        verb: Verb,
        from: Stamp,
        answer: Option<(Answer, Stamp)>,
    },
    Savepoint,
    RollbackToSavepoint,
}

impl Tx {
    fn fate(&self) -> Fate {
        if self.alone {
            return match self.steps.first() {
                Some(TxStep::Call {
                    answer: Some((Answer::Rows(_), _)),
                    ..
                }) => Fate::Committed,
                Some(TxStep::Call {
                    answer: Some((Answer::Error { .. }, _)),
                    ..
                }) => Fate::RolledBack,
                _ => Fate::Unknown,
            };
        }
        match (self.ended, self.commit) {
            (Some((Some(true), _)), _) => Fate::Committed,
            (Some((Some(false), _)), _) => Fate::RolledBack,
            (_, Some(_)) => Fate::Unknown,
            // It never said COMMIT.
            (_, None) => Fate::RolledBack,
        }
    }

    /// What became of one of its calls: it may be undone by itself.
    fn fate_of(&self, step: usize) -> Fate {
        let savepoint = |step: &TxStep| matches!(step, TxStep::Savepoint);
        let back = |step: &TxStep| matches!(step, TxStep::RollbackToSavepoint);
        let undone =
            self.steps[..step].iter().any(savepoint) && self.steps[step..].iter().any(back);
        if undone {
            Fate::RolledBack
        } else {
            self.fate()
        }
    }

    /// A dispatch waits for its flush, too: nobody else may ever be told the same.
    fn dispatched(&self) -> bool {
        self.steps.iter().any(|step| match step {
            TxStep::Call {
                verb: Verb::Dispatch { .. },
                answer: Some((Answer::Rows(rows), _)),
                ..
            } => rows
                .first()
                .is_some_and(|row| row[0].as_deref() == Some("dispatched")),
            _ => false,
        })
    }

    /// From when to when, if it made more than one call.
    fn with_several_calls(&self) -> Option<(u32, i64, i64)> {
        let mut calls = self.steps.iter().filter_map(|step| match step {
            TxStep::Call { from, .. } => Some(from.wall),
            _ => None,
        });
        let first = calls.next()?;
        calls.next()?;
        Some((
            self.pid,
            first,
            self.ended.map_or(i64::MAX, |(_, stamp)| stamp.wall),
        ))
    }

    /// What its calls mean, unless they failed.
    fn calls(&self, known: &Known) -> impl Iterator<Item = (Act, Option<Reply>)> {
        self.steps.iter().flat_map(|step| {
            let calls = match step {
                TxStep::Call { verb, answer, .. } => match answer {
                    Some((Answer::Rows(rows), _)) => acts(verb, Some(rows), known),
                    Some((Answer::Error { .. }, _)) => Vec::new(),
                    Some((Answer::Lost(_), _)) | None => acts(verb, None, known),
                },
                _ => Vec::new(),
            };
            calls.into_iter().map(|(_, act, reply)| (act, reply))
        })
    }

    fn commit_began(&self) -> Option<i64> {
        match (self.alone, self.steps.first()) {
            (true, Some(TxStep::Call { from, .. })) => Some(from.mono),
            _ => self.commit.map(|stamp| stamp.mono),
        }
    }

    fn end(&self) -> i64 {
        let last_answer = self.steps.iter().rev().find_map(|step| match step {
            TxStep::Call { answer, .. } => answer.as_ref().map(|(_, stamp)| stamp.mono),
            _ => None,
        });
        match (self.fate(), self.alone) {
            (Fate::Unknown, _) => i64::MAX,
            (_, true) => last_answer.unwrap_or(i64::MAX),
            (_, false) => self.ended.map_or(i64::MAX, |(_, stamp)| stamp.mono),
        }
    }
}

/// When what was flushed had ended, by when its commit began: what was acknowledged before that was flushed with it.
struct Flushes {
    /// (began, the first to end of those that began then or later), in order.
    commits: Vec<(i64, i64)>,
}

impl Flushes {
    fn of(all: &[Tx], known: &Known) -> Flushes {
        let mut commits: Vec<(i64, i64)> = all
            .iter()
            .filter(|tx| tx.flushed && tx.fate() == Fate::Committed)
            .filter(|tx| {
                tx.calls(known)
                    .any(|(act, reply)| reply.is_some() && acts::changes(&act, reply.as_ref()))
            })
            .filter_map(|tx| Some((tx.commit_began()?, tx.end())))
            .collect();
        commits.sort_unstable();
        let mut first_end = i64::MAX;
        for (_, end) in commits.iter_mut().rev() {
            first_end = first_end.min(*end);
            *end = first_end;
        }
        Flushes { commits }
    }

    /// When everything was on disk, at the latest, that had happened by then.
    fn after(&self, time: i64) -> i64 {
        let i = self.commits.partition_point(|(began, _)| *began <= time);
        self.commits.get(i).map_or(i64::MAX, |(_, end)| *end)
    }
}

/// Reads the entries of one client.
fn transactions(entries: &[Entry], crashes: &mut Vec<(Stamp, Stamp)>) -> Vec<Tx> {
    let mut all: Vec<Tx> = Vec::new();
    let mut client = String::new();
    let mut always_flushed = true;
    let mut pid = 0;
    for entry in entries {
        match entry {
            Entry::Client { name, flushed } => {
                client.clone_from(name);
                always_flushed = *flushed;
            }
            Entry::Connected { pid: now } => pid = *now,
            Entry::Missed { .. } => {}
            Entry::Crash { down, up } => crashes.push((*down, *up)),
            Entry::Begin { tx, isolation } => all.push(Tx {
                label: format!("{client}#{tx}"),
                pid,
                flushed: always_flushed,
                alone: false,
                isolation: isolation.clone(),
                steps: Vec::new(),
                commit: None,
                ended: None,
            }),
            Entry::Call {
                tx,
                alone,
                verb,
                stamp,
            } => {
                if *alone {
                    all.push(Tx {
                        label: format!("{client}#{tx}"),
                        pid,
                        flushed: always_flushed,
                        alone: true,
                        isolation: "READ COMMITTED".to_owned(),
                        steps: Vec::new(),
                        commit: None,
                        ended: None,
                    });
                }
                let tx = all.last_mut().expect("a transaction has begun");
                tx.steps.push(TxStep::Call {
                    verb: verb.clone(),
                    from: *stamp,
                    answer: None,
                });
            }
            Entry::Answer { answer, stamp, .. } => {
                let tx = all.last_mut().expect("a call was made");
                if let Some(TxStep::Call { answer: open, .. }) = tx.steps.last_mut() {
                    *open = Some((answer.clone(), *stamp));
                }
            }
            Entry::Savepoint { .. } => {
                all.last_mut()
                    .expect("a transaction has begun")
                    .steps
                    .push(TxStep::Savepoint);
            }
            Entry::RollbackToSavepoint { .. } => {
                let tx = all.last_mut().expect("a transaction has begun");
                tx.steps.push(TxStep::RollbackToSavepoint);
            }
            Entry::Commit { stamp, .. } => {
                all.last_mut().expect("a transaction has begun").commit = Some(*stamp);
            }
            Entry::Ended {
                committed, stamp, ..
            } => {
                all.last_mut().expect("a transaction has begun").ended = Some((*committed, *stamp));
            }
        }
    }
    all
}

/// All histories together. `end`: when `last` was read.
pub fn project(
    queues: &[Queue],
    clients: &[Vec<Entry>],
    last: &[Last],
    end: (Stamp, Stamp),
) -> Projected {
    let mut out = Projected::default();
    for entry in clients.iter().flatten() {
        if let Entry::Missed { queue, tasks } = entry {
            out.violations.push(format!(
                "V1: nobody finds what is ready in {queue}: tasks {tasks:?}"
            ));
        }
    }
    let mut crashes = Vec::new();
    let mut all: Vec<Tx> = clients
        .iter()
        .flat_map(|entries| transactions(entries, &mut crashes))
        .collect();
    all.sort_by_key(|tx| {
        match tx
            .steps
            .iter()
            .find(|step| matches!(step, TxStep::Call { .. }))
        {
            Some(TxStep::Call { from, .. }) => from.mono,
            _ => i64::MAX,
        }
    });
    let mut known = Known {
        queues: queues
            .iter()
            .enumerate()
            .map(|(i, queue)| (queue.name.clone(), i))
            .collect(),
        by_key: HashMap::new(),
        by_name: HashMap::new(),
        run_of: HashMap::new(),
        by_owner: HashMap::new(),
        told: HashSet::new(),
    };
    for task in last {
        if let Some(key) = &task.key {
            known.by_key.insert(key.clone(), task.task);
        }
        if let Some(name) = &task.name {
            known
                .by_name
                .entry(name.clone())
                .or_default()
                .push(task.task);
        }
        if let Some(run) = task.run {
            known.run_of.insert(task.task, run);
        }
        for event in &task.tape {
            if let (Some(owner), Some(token)) = (&event.owner, event.token) {
                known
                    .by_owner
                    .entry(owner.clone())
                    .or_default()
                    .push((task.task, token, event.at));
            }
        }
    }
    for tx in &mut all {
        let waits = tx
            .calls(&known)
            .any(|(act, reply)| acts::waits_for_flush(&act, reply.as_ref()));
        tx.flushed |= waits || tx.dispatched();
    }
    let flushes = Flushes::of(&all, &known);
    together(&all, &crashes, &flushes, &mut known, &mut out);
    let mut created = HashSet::new();
    let mut tasks: BTreeMap<i64, Vec<Op>> = BTreeMap::new();
    for tx in &all {
        per_task(tx, &flushes, &mut known, &mut created, &mut tasks);
    }
    let there: HashMap<i64, &Last> = last.iter().map(|task| (task.task, task)).collect();
    for task in last {
        let ops = tasks.entry(task.task).or_default();
        if !created.contains(&task.task) {
            ops.push(born(task, known.queues[&task.queue]));
        }
    }
    let any_unflushed = all.iter().any(|tx| !tx.flushed);
    for (task, mut ops) in tasks {
        if !there.contains_key(&task) && !created.contains(&task) {
            // Made by something in a transaction that was rolled back, and gone with it.
            ops.retain(|op| op.fate != Fate::RolledBack);
        }
        ops.push(read_at_end(there.get(&task).copied(), end));
        if any_unflushed {
            ops.extend(crashes.iter().map(|(down, up)| crash(*down, *up)));
        }
        out.tasks.insert(task, ops);
    }
    for tx in &all {
        out.pids.insert(tx.pid);
        out.several.extend(tx.with_several_calls());
    }
    groups(&all, last, &mut out);
    ends(queues, last, &mut out);
    let mut on_tapes = HashSet::new();
    for task in last {
        out.violations.extend(tape_is_sound(task));
        for event in task.tape.iter().filter(|event| event.kind == "leased") {
            if !event.token.is_some_and(|token| on_tapes.insert(token)) {
                out.violations.push(format!(
                    "A2: token {:?} stands on two tapes, also on that of {}",
                    event.token, task.task
                ));
            }
        }
    }
    out
}

/// What can be told without an order: errors that nothing explains, tokens handed out twice, successors
/// dispatched twice.
fn together(
    all: &[Tx],
    crashes: &[(Stamp, Stamp)],
    flushes: &Flushes,
    known: &mut Known,
    out: &mut Projected,
) {
    // When its answer came, and what became of the transaction.
    let mut handed_out: HashMap<i64, (i64, Fate)> = HashMap::new();
    let mut successors: HashMap<(i64, String), BTreeSet<i64>> = HashMap::new();
    let mut dispatched: HashMap<(i64, String), usize> = HashMap::new();
    let mut redriven: HashMap<i64, i64> = HashMap::new();
    for tx in all {
        for (n, step) in tx.steps.iter().enumerate() {
            let TxStep::Call { verb, answer, .. } = step else {
                continue;
            };
            out.calls += 1;
            match answer {
                None | Some((Answer::Lost(_), _)) => out.unknown += 1,
                Some((Answer::Error { code, message }, _)) => {
                    out.failed += 1;
                    if !may_fail_so(tx, verb, code) {
                        out.violations
                            .push(format!("{}: {verb:?} raised {code}: {message}", tx.label));
                    }
                    *out.outcomes.entry(format!("error {code}")).or_default() += 1;
                }
                Some((Answer::Rows(rows), to)) => {
                    if !acts::rows_fit(verb, rows) {
                        out.violations.push(format!(
                            "{}: {verb:?} answered {} rows: {rows:?}",
                            tx.label,
                            rows.len()
                        ));
                    }
                    for (_, _, reply) in acts(verb, Some(rows), known) {
                        let word = reply.map(|r| r.outcome).unwrap_or_default();
                        *out.outcomes
                            .entry(format!("{} {word}", acts::name(verb)))
                            .or_default() += 1;
                    }
                    for token in acts::tokens(verb, rows) {
                        known.told.insert(token);
                        // What was never acknowledged may be forgotten in a crash, unless it was on disk.
                        let last = handed_out.insert(token, (to.mono, tx.fate_of(n)));
                        let forgotten = last.is_some_and(|(at, fate)| {
                            fate != Fate::Committed
                                && crashes.iter().any(|(down, up)| {
                                    at < up.mono
                                        && down.mono < to.mono
                                        && flushes.after(at) > down.mono
                                })
                        });
                        if last.is_some() && !forgotten {
                            out.violations.push(format!(
                                "A2: token {token} was handed out twice, again to {}",
                                tx.label
                            ));
                        }
                    }
                    // What was not flushed may be forgotten in a crash, and its number given to another.
                    if let (Verb::Redrive { task }, Fate::Committed, true) =
                        (verb, tx.fate_of(n), tx.flushed)
                        && let Some(row) = rows.first()
                        && row[0].as_deref() == Some("redriven")
                        && let Some(new) = number(row, 1)
                        && *redriven.entry(new).or_insert(*task) != *task
                    {
                        out.violations.push(format!(
                            "{}: task {new} is said to be redriven of {task}, too",
                            tx.label
                        ));
                    }
                    if let Verb::Dispatch {
                        task, successor, ..
                    } = verb
                    {
                        let word = rows
                            .first()
                            .and_then(|row| row[0].clone())
                            .unwrap_or_default();
                        *out.outcomes.entry(format!("dispatch {word}")).or_default() += 1;
                        let scope = (
                            known.run_of.get(task).copied().unwrap_or(-task),
                            successor.clone(),
                        );
                        if tx.fate_of(n) == Fate::Committed {
                            if word == "dispatched" {
                                *dispatched.entry(scope.clone()).or_default() += 1;
                            }
                            if let Some(new) = rows.first().and_then(|row| number(row, 1)) {
                                successors.entry(scope).or_default().insert(new);
                            }
                        }
                    }
                }
            }
        }
    }
    for ((scope, name), times) in dispatched {
        if times > 1 {
            out.violations.push(format!(
                "D1: {name} of {scope} was answered `dispatched` {times} times"
            ));
        }
    }
    for ((scope, name), ids) in successors {
        if ids.len() > 1 {
            out.violations
                .push(format!("D1: {name} of {scope} is said to be {ids:?}"));
        }
    }
}

/// What is promised of a group, by what the tapes tell: never more than `max_parallel` of it hold a slot (S1), and what follows it is never dispatched early (D3).
fn groups(all: &[Tx], last: &[Last], out: &mut Projected) {
    let mut items: HashMap<(i64, &str), Vec<&Last>> = HashMap::new();
    let mut group_of: HashMap<i64, (i64, &str)> = HashMap::new();
    for task in last {
        // Without a run it is its own group.
        let run = task.run.unwrap_or(-task.task);
        let group = (run, task.name.as_deref().unwrap_or_default());
        items.entry(group).or_default().push(task);
        group_of.insert(task.task, group);
    }
    let calls = all
        .iter()
        .filter(|tx| tx.fate() == Fate::Committed)
        .flat_map(|tx| &tx.steps);
    for step in calls {
        let TxStep::Call {
            verb,
            answer: Some((Answer::Rows(rows), to)),
            ..
        } = step
        else {
            continue;
        };
        let word = rows.first().and_then(|row| row[0].as_deref());
        match verb {
            Verb::CreateItems { name, .. } => {
                let Some(run) = rows.first().and_then(|row| number(row, 1)) else {
                    continue;
                };
                let first: HashMap<i64, i64> = rows
                    .iter()
                    .filter(|row| row[0].as_deref() == Some("created"))
                    .filter(|row| row[4].as_deref() == Some("ready"))
                    .filter_map(|row| Some((number(row, 3)?, to.wall)))
                    .collect();
                let group = items.get(&(run, name.as_str()));
                let most = most_at_once(group.into_iter().flatten(), &first);
                if acts::capacity(verb).is_some_and(|capacity| most > capacity) {
                    out.violations.push(format!(
                        "S1: {most} of group {name} of run {run} had a slot at once: {verb:?}"
                    ));
                }
            }
            Verb::Dispatch { task, .. } if word == Some("dispatched") => {
                let group = group_of.get(task).and_then(|group| items.get(group));
                for item in group.into_iter().flatten() {
                    if number(&item.columns, 10).is_none_or(|at| at > to.wall) {
                        out.violations.push(format!(
                            "D3: {verb:?} was answered `dispatched` before item {} had ended",
                            item.task
                        ));
                    }
                }
            }
            _ => {}
        }
    }
}

/// How many of these tasks held a slot at the same time, at least: from their lease on, or from the time at which they
/// were known to be ready, until they ended or were given back. (A lost lease keeps the slot.)
fn most_at_once<'a>(
    tasks: impl Iterator<Item = &'a &'a Last>,
    ready_since: &HashMap<i64, i64>,
) -> usize {
    let mut changes = Vec::new();
    for task in tasks {
        let mut since = ready_since.get(&task.task).copied();
        for event in &task.tape {
            match event.kind.as_str() {
                "leased" => since = since.or(Some(event.at)),
                "retry_scheduled" | "released" | "final" => {
                    if let Some(since) = since.take().filter(|since| *since < event.at) {
                        changes.extend([(since, 1), (event.at, -1)]);
                    }
                }
                _ => {}
            }
        }
        changes.extend(since.map(|since| (since, 1)));
    }
    // An end and a beginning in the same µs do not overlap.
    changes.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    most as usize
}

/// Every end that a queue wants to be told of is told once, and nothing else is.
fn ends(queues: &[Queue], last: &[Last], out: &mut Projected) {
    let wanted = |task: &Last| {
        let queue = queues.iter().find(|queue| queue.name == task.queue)?;
        let (place, states) = queue.on_final?;
        let state = acts::state(&task.columns, 0)?;
        states.contains(&state).then_some(place)
    };
    let mut untold: BTreeSet<(String, String)> = last
        .iter()
        .filter_map(|task| Some((wanted(task)?.to_owned(), task.task.to_string())))
        .collect();
    for task in last
        .iter()
        .filter(|task| task.name.as_deref() == Some("on_final"))
    {
        let told = (task.queue.clone(), task.key.clone().unwrap_or_default());
        // What tells of an end may be redriven, and has no key then.
        if task.key.is_some() && !untold.remove(&told) {
            out.violations.push(format!(
                "F1: task {} tells in {} of the end of {}, which has not ended so",
                task.task, told.0, told.1
            ));
        }
    }
    for (queue, task) in untold {
        out.violations
            .push(format!("F1: nothing in {queue} tells of the end of {task}"));
    }
}

/// The errors a correct program must be ready for.
fn may_fail_so(tx: &Tx, verb: &Verb, code: &str) -> bool {
    match code {
        // Cancelled by somebody or by a timeout; no memory, no connections.
        "57014" | "55P03" => true,
        "55006" => matches!(verb, Verb::RequireLease { .. }),
        // Who else was in it, the server's log tells (V2).
        "40P01" => true,
        "40001" => tx.isolation != "READ COMMITTED",
        _ => false,
    }
}

/// The ops of a transaction, task by task.
fn per_task(
    tx: &Tx,
    flushes: &Flushes,
    known: &mut Known,
    created: &mut HashSet<i64>,
    tasks: &mut BTreeMap<i64, Vec<Op>>,
) {
    let fate = tx.fate();
    let op = |steps: Vec<Step>, fate: Fate, begun: i64, ended: i64| Op {
        steps,
        fate,
        flushed: tx.flushed,
        flushed_by: flushes.after(ended),
        begun,
        ended,
        visible_from: begun,
        label: tx.label.clone(),
    };
    // What was done since the first change, when that began, and whether a savepoint was set before.
    let mut blocks: BTreeMap<i64, (Vec<Step>, i64, bool)> = BTreeMap::new();
    let mut savepoint = false;
    // An acquire or a reap settles what it finds, without telling, until this transaction ends.
    let mut swept = false;
    let mut required: BTreeMap<i64, i64> = BTreeMap::new();
    for step in &tx.steps {
        let (verb, from, answer) = match step {
            TxStep::Call { verb, from, answer } => (verb, from, answer),
            TxStep::Savepoint => {
                savepoint = true;
                for (steps, ..) in blocks.values_mut() {
                    steps.push(Step::Savepoint);
                }
                continue;
            }
            TxStep::RollbackToSavepoint => {
                required.clear();
                // What was locked since the savepoint is locked no more: others may come before what follows.
                let since: Vec<i64> = blocks
                    .iter()
                    .filter(|(_, block)| block.2)
                    .map(|(task, _)| *task)
                    .collect();
                for task in since {
                    let (steps, begun, _) = blocks.remove(&task).expect("it is there");
                    tasks.entry(task).or_default().push(op(
                        steps,
                        Fate::RolledBack,
                        begun,
                        tx.end(),
                    ));
                }
                for (steps, ..) in blocks.values_mut() {
                    steps.push(Step::RollbackToSavepoint);
                }
                continue;
            }
        };
        let (rows, to) = match answer {
            Some((Answer::Rows(rows), to)) => (Some(rows), Some(*to)),
            Some((Answer::Error { code, .. }, to)) => {
                if let (Verb::RequireLease { task, token }, "55006") = (verb, code.as_str()) {
                    let reply = Reply {
                        outcome: "refused".to_owned(),
                        ..Reply::default()
                    };
                    let window = Window {
                        from: from.wall,
                        to: to.wall,
                    };
                    let act = Act::RequireLease { token: *token };
                    let steps = vec![Step::call(act, Some(reply), window)];
                    match blocks.get_mut(task) {
                        Some((block, ..)) => block.extend(steps),
                        None => tasks.entry(*task).or_default().push(op(
                            steps,
                            Fate::Committed,
                            from.mono,
                            to.mono,
                        )),
                    }
                }
                continue;
            }
            _ => (None, None),
        };
        // In a transaction that was not committed, a call without an answer has neither effect nor meaning.
        if rows.is_none() && fate == Fate::RolledBack {
            continue;
        }
        if rows.is_none()
            && let Verb::Acquire { owner, ttl_ms, .. } | Verb::AcquireById { owner, ttl_ms, .. } =
                verb
        {
            looked_up(tx, verb, ttl_ms * acts::MS, *from, owner, known, tasks);
            continue;
        }
        let window = Window {
            from: from.wall,
            to: to.map_or(i64::MAX, |to| to.wall),
        };
        for (task, act, reply) in acts(verb, rows, known) {
            if matches!(act, Act::Create { .. }) && fate != Fate::RolledBack {
                created.insert(task);
            }
            let changes = acts::changes(&act, reply.as_ref());
            if let (Act::RequireLease { token }, Some(_), false) = (&act, &reply, tx.alone) {
                required.insert(task, *token);
            } else if changes {
                required.remove(&task);
            }
            let step = Step::call(act, reply, window);
            match blocks.get_mut(&task) {
                Some((steps, ..)) => steps.push(step),
                None if changes => {
                    blocks.insert(task, (vec![step], from.mono, savepoint));
                }
                None if swept => {
                    tasks
                        .entry(task)
                        .or_default()
                        .push(op(vec![step], fate, from.mono, tx.end()));
                }
                // Nothing was changed yet: others may come between this call and the next.
                None => {
                    let ended = to.map_or(i64::MAX, |to| to.mono);
                    tasks.entry(task).or_default().push(op(
                        vec![step],
                        Fate::Committed,
                        from.mono,
                        ended,
                    ));
                }
            }
        }
        swept |= matches!(verb, Verb::Acquire { .. } | Verb::Reap { .. });
    }
    for (task, (steps, begun, _)) in blocks {
        // What it has changed is locked until the end, and seen by nobody. Only what it locked after a savepoint and
        // let go again may have been changed by others since.
        let let_go = steps
            .iter()
            .any(|step| matches!(step, Step::RollbackToSavepoint));
        let mut op = op(steps, fate, begun, tx.end());
        match (fate, tx.commit) {
            (Fate::Committed, Some(commit)) if !let_go => op.visible_from = commit.mono,
            (Fate::Unknown, Some(commit)) => op.visible_from = commit.mono,
            _ => {}
        }
        tasks.entry(task).or_default().push(op);
    }
    if let (Fate::Committed, Some(commit)) = (fate, tx.commit) {
        for (task, token) in required {
            let window = Window {
                from: commit.wall,
                to: i64::MAX,
            };
            let act = Act::StillHeld { token };
            tasks.entry(task).or_default().push(op(
                vec![Step::call(act, None, window)],
                fate,
                commit.mono,
                tx.end(),
            ));
        }
    }
}

/// An acquire whose answer is missing: what it leased stands on the tapes, under its owner's name.
fn looked_up(
    tx: &Tx,
    verb: &Verb,
    ttl: i64,
    from: Stamp,
    owner: &str,
    known: &mut Known,
    tasks: &mut BTreeMap<i64, Vec<Op>>,
) {
    let leases = known.by_owner.get(owner).cloned().unwrap_or_default();
    for (task, token, at) in leases {
        let by_id = match verb {
            Verb::AcquireById { task: only, .. } if *only != task => continue,
            Verb::AcquireById { .. } => true,
            _ => false,
        };
        if at < from.wall || !known.told.insert(token) {
            continue;
        }
        let reply = Reply {
            outcome: if by_id { "acquired" } else { "leased" }.to_owned(),
            state: Some(State::Running),
            token: Some(token),
            at: Some(at),
            ..Reply::default()
        };
        let owner = owner.to_owned();
        let act = match verb {
            Verb::Acquire { queue, .. } => Act::Lease {
                queue: known.queues[queue],
                owner,
                ttl,
            },
            _ => Act::LeaseById { owner, ttl },
        };
        let window = Window {
            from: from.wall,
            to: i64::MAX,
        };
        tasks.entry(task).or_default().push(Op {
            steps: vec![Step::call(act, Some(reply), window)],
            fate: Fate::Committed,
            flushed: true,
            flushed_by: 0,
            begun: from.mono,
            ended: i64::MAX,
            visible_from: from.mono,
            label: format!("{} (answer lost)", tx.label),
        });
    }
}

/// A task that no call of the history has created.
fn born(task: &Last, queue: usize) -> Op {
    let act = Act::Create {
        queue,
        max_attempts: Some(task.max_attempts),
        delay: 0,
        bounded: false,
        in_run: task.run.is_some(),
    };
    Op {
        steps: vec![Step::call(act, None, Window::ANY)],
        fate: Fate::Unknown,
        flushed: true,
        flushed_by: 0,
        begun: 0,
        ended: i64::MAX,
        visible_from: 0,
        label: "born".to_owned(),
    }
}

fn read_at_end(task: Option<&Last>, end: (Stamp, Stamp)) -> Op {
    let reply = task.map_or_else(acts::nothing, |task| acts::shown(&task.columns));
    let tape = task.map_or(&[][..], |task| &task.tape);
    let events = Reply {
        outcome: "events".to_owned(),
        seq: Some(tape.len() as i64),
        tape: Some(
            tape.iter()
                .map(|event| (event.kind.clone(), event.token))
                .collect(),
        ),
        ..Reply::default()
    };
    let window = Window {
        from: end.0.wall,
        to: end.1.wall,
    };
    Op {
        steps: vec![
            Step::call(Act::Get, Some(reply), window),
            Step::call(Act::Tail { after: 0 }, Some(events), window),
        ],
        fate: Fate::Committed,
        flushed: true,
        flushed_by: 0,
        begun: end.0.mono,
        ended: end.1.mono,
        visible_from: end.0.mono,
        label: "at the end".to_owned(),
    }
}

fn crash(down: Stamp, up: Stamp) -> Op {
    let window = Window {
        from: down.wall,
        to: up.wall,
    };
    Op {
        steps: vec![Step::call(Act::Crash, None, window)],
        fate: Fate::Unknown,
        flushed: true,
        flushed_by: 0,
        begun: down.mono,
        ended: up.mono,
        visible_from: down.mono,
        label: "crash".to_owned(),
    }
}

/// E1, E2 and the grammar of a tape: a lease is followed by what ended it.
fn tape_is_sound(task: &Last) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut open = None;
    let mut last_token = 0;
    for (i, event) in task.tape.iter().enumerate() {
        let mut say = |what: String| {
            wrong.push(format!(
                "E: task {}, event {}: {what}",
                task.task, event.seq
            ))
        };
        if event.seq != i as i64 + 1 {
            say(format!("it is the {}th", i + 1));
        }
        match event.kind.as_str() {
            "leased" => {
                if open.is_some() {
                    say("leased while it was leased".to_owned());
                }
                match event.token {
                    Some(token) if token > last_token => last_token = token,
                    other => say(format!("token {other:?} after {last_token}")),
                }
                open = event.token;
            }
            "started" if open.is_none() || event.token != open => {
                say("started without its lease".to_owned())
            }
            "lease_lost" | "retry_scheduled" | "released" => {
                let lease = open.take();
                if lease.is_none() {
                    say(format!("{} without a lease", event.kind));
                }
            }
            "final" if i + 1 != task.tape.len() => say("final is not the last".to_owned()),
            _ => {}
        }
    }
    let ended = task.tape.last().is_some_and(|event| event.kind == "final");
    let terminal = acts::state(&task.columns, 0).is_some_and(State::is_terminal);
    if ended != terminal {
        wrong.push(format!(
            "E2: task {} is {:?} and its tape ends in {:?}",
            task.task,
            task.columns[0],
            task.tape.last()
        ));
    }
    wrong
}
