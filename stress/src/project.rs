//! From the histories of clients to the histories of tasks, and what can be told from all of them together.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use crate::acts::{self, Known, Row, acts};
use crate::checker::{Fate, Op, Step};
use crate::history::{Answer, Entry, Stamp, Verb};
use crate::model::state::State;
use crate::saga::{self, Registered};
use crate::slots;
use crate::spec::{Act, Flow, Queue, Reply, Window};
use crate::together;
use crate::transaction::{Flushes, Tx, TxStep, transactions};
use crate::workflow::{self, LastRun};

/// A task as the database shows it at the end.
#[derive(Clone, Debug)]
pub struct Last {
    pub task: i64,
    pub queue: String,
    pub name: Option<String>,
    pub key: Option<String>,
    pub run: Option<i64>,
    /// Its step; `None`: it has none, or has left its place to the task that was redriven of it.
    pub step: Option<String>,
    pub item_index: Option<i64>,
    pub max_attempts: i32,
    /// The named keys of which it needs a slot each.
    pub slot_keys: Vec<String>,
    pub created_at: i64,
    /// Its ledger, as `task_compensations` shows it.
    pub compensations: Vec<Registered>,
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
    /// Of what is about compensations.
    pub body: Value,
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

/// All histories together. `end`: when `last` was read.
pub fn project(
    queues: &[Queue],
    clients: &[Vec<Entry>],
    last: &[Last],
    runs: &[LastRun],
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
        there: last.iter().map(|task| task.task).collect(),
        undoing: last
            .iter()
            .flat_map(|task| &task.compensations)
            .filter_map(|compensation| compensation.by)
            .collect(),
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
    together::calls(&all, &crashes, &flushes, &mut known, &mut out);
    let mut created = HashSet::new();
    let mut tasks: BTreeMap<i64, Vec<Op>> = BTreeMap::new();
    for tx in &all {
        per_task(tx, &flushes, &mut known, &mut created, &mut tasks);
    }
    let flows = workflow::flows(runs, last);
    let there: HashMap<i64, &Last> = last.iter().map(|task| (task.task, task)).collect();
    let groups: HashSet<&str> = all
        .iter()
        .flat_map(|tx| &tx.steps)
        .filter_map(|step| match step {
            TxStep::Call {
                verb: Verb::CreateItems { name, .. },
                ..
            } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    for task in last {
        let ops = tasks.entry(task.task).or_default();
        // What a client has created, and a crash has lost, may have left its number to another that none has.
        let by_client = match &task.name {
            Some(name) => groups.contains(name.as_str()),
            None => task.key.is_some(),
        };
        let lost = !by_client && !crashes.is_empty() && all.iter().any(|tx| !tx.flushed);
        if lost || !created.contains(&task.task) {
            let in_run = task.run.is_some();
            let flow = task.run.and_then(|run| flows.get(&run).copied());
            let born = Act::Create {
                queue: known.queues[&task.queue],
                max_attempts: Some(task.max_attempts),
                delay: 0,
                bounded: !task.slot_keys.is_empty(),
                in_run,
                undoes: known.undoing.contains(&task.task),
                flow,
            };
            ops.push(born_as(born, true));
        }
    }
    let any_unflushed = all.iter().any(|tx| !tx.flushed);
    for (task, mut ops) in tasks {
        if !there.contains_key(&task) && !created.contains(&task) {
            // Made by something in a transaction that was rolled back, and gone with it.
            ops.retain(|op| op.fate != Fate::RolledBack);
            // Or made by a call that was never answered and not flushed: others saw it until a crash.
            if any_unflushed {
                let flow = (!runs.is_empty()).then_some(Flow::ANY);
                for undoes in [false, true] {
                    let born = Act::Create {
                        queue: 0,
                        max_attempts: None,
                        delay: 0,
                        bounded: false,
                        in_run: flow.is_some(),
                        undoes,
                        flow,
                    };
                    ops.push(born_as(born, false));
                }
            }
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
    together::groups(&all, last, &mut out);
    together::ends(queues, last, &mut out);
    let said = workflow::judge(runs, last, &all, &crashes, &flushes);
    out.violations.extend(said);
    out.violations.extend(saga::violations(last, runs, &all));
    let said = slots::violations(last, &all, &crashes, &flushes);
    out.violations.extend(said);
    let mut on_tapes = HashSet::new();
    for task in last {
        out.violations.extend(together::tape_is_sound(task));
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
fn born_as(act: Act, flushed: bool) -> Op {
    Op {
        steps: vec![Step::call(act, None, Window::ANY)],
        fate: Fate::Unknown,
        flushed,
        flushed_by: if flushed { 0 } else { i64::MAX },
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
