//! Decides whether the history of one task can be put in an order that its specification allows: the search of
//! Wing and Gong with the memory of Lowe. A call takes effect at one moment between its beginning and its end; a call
//! whose outcome is unknown takes effect at any moment after its beginning, or never.

use std::collections::HashSet;
use std::fmt;

use crate::acts;
use crate::spec::{Act, Queue, Reply, Task, Window};

/// One call on the task; `reply` is `None` if it is not known what was answered.
#[derive(Clone, Debug)]
pub struct Call {
    pub act: Act,
    pub reply: Option<Reply>,
    pub window: Window,
}

/// What happens to the task at one moment: a call, or the calls of a transaction.
#[derive(Clone, Debug)]
pub enum Step {
    Call(Box<Call>),
    Savepoint,
    RollbackToSavepoint,
}

impl Step {
    pub fn call(act: Act, reply: Option<Reply>, window: Window) -> Step {
        Step::Call(Box::new(Call { act, reply, window }))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Committed,
    /// The answers count, the effects do not.
    RolledBack,
    /// It may have been committed, or not; what it answered counts.
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Op {
    pub steps: Vec<Step>,
    pub fate: Fate,
    /// Whether its commit waited for its flush, by the caller's settings or because of what it called.
    pub flushed: bool,
    /// When it was on disk at the latest, because something that was committed later waited for its flush.
    pub flushed_by: i64,
    /// Monotonic time, in ns: it cannot have happened outside of these.
    pub begun: i64,
    pub ended: i64,
    /// Nobody else sees what it did before its COMMIT was sent.
    pub visible_from: i64,
    /// Who called, for people.
    pub label: String,
}

impl Op {
    /// Whether it has a place in the order: of a call without an answer that is not known.
    fn is_certain(&self) -> bool {
        let answered = |step: &Step| matches!(step, Step::Call(call) if call.reply.is_some());
        match self.fate {
            Fate::Unknown => self.is_crash() || self.steps.iter().any(answered),
            _ => true,
        }
    }

    fn is_crash(&self) -> bool {
        matches!(&self.steps[..], [Step::Call(call)] if call.act == Act::Crash)
    }

    /// Whether it has written: what only reads, or is refused, waits for no flush and flushes nothing.
    fn has_written(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Call(call) => acts::writes(&call.act, call.reply.as_ref()),
            _ => false,
        })
    }
}

/// Why there is no such order.
#[derive(Debug)]
pub struct Rejected {
    pub why: String,
    /// The longest order that was found, and what it made of the task.
    pub order: Vec<usize>,
    pub reached: Vec<Task>,
    /// The calls of which one should have come next.
    pub stuck: Vec<usize>,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.why)
    }
}

/// A task, and what it was before each change that may not be on disk yet, with the time at which it was, at the latest.
#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    task: Task,
    unflushed: Vec<(Task, i64)>,
}

/// How many steps a search may take before it gives up: a history that cannot be decided is a failure too.
const STEPS: u64 = 20_000_000;

pub fn check(queues: &[Queue], ops: &[Op]) -> Result<(), Rejected> {
    let mut search = Search {
        queues,
        ops,
        by_begin: {
            let mut order: Vec<usize> = (0..ops.len()).collect();
            order.sort_by_key(|i| (ops[*i].begun, *i));
            order
        },
        done: vec![false; ops.len()],
        order: Vec::new(),
        seen: HashSet::new(),
        best: Vec::new(),
        best_tasks: vec![Task::nothing()],
        steps: 0,
    };
    if search.from(World {
        task: Task::nothing(),
        unflushed: Vec::new(),
    }) {
        return Ok(());
    }
    let mut done = vec![false; ops.len()];
    for i in &search.best {
        done[*i] = true;
    }
    let stuck = search.candidates(&done);
    let why = if search.steps >= STEPS {
        format!("undecided after {STEPS} steps")
    } else {
        "no order of these calls is one that the specification allows".to_owned()
    };
    Err(Rejected {
        why,
        order: search.best,
        reached: search.best_tasks,
        stuck,
    })
}

struct Search<'a> {
    queues: &'a [Queue],
    ops: &'a [Op],
    by_begin: Vec<usize>,
    done: Vec<bool>,
    order: Vec<usize>,
    seen: HashSet<(Vec<u64>, World)>,
    best: Vec<usize>,
    best_tasks: Vec<Task>,
    steps: u64,
}

impl Search<'_> {
    /// When the first of the rest ended: nothing that began later comes next.
    fn first_end(&self, done: &[bool]) -> i64 {
        let left = (0..self.ops.len()).filter(|i| !done[*i] && self.ops[*i].is_certain());
        left.map(|i| self.ops[i].ended).min().unwrap_or(i64::MAX)
    }

    /// What may come next.
    fn candidates(&self, done: &[bool]) -> Vec<usize> {
        let first_end = self.first_end(done);
        let mut next: Vec<usize> = self
            .by_begin
            .iter()
            .copied()
            .filter(|i| !done[*i])
            .take_while(|i| self.ops[*i].begun <= first_end)
            .collect();
        next.sort_by_key(|i| (!self.ops[*i].is_certain(), self.ops[*i].ended));
        next
    }

    fn from(&mut self, world: World) -> bool {
        self.steps += 1;
        if self.steps >= STEPS {
            return false;
        }
        if (0..self.ops.len()).all(|i| self.done[i] || !self.ops[i].is_certain()) {
            return true;
        }
        if self.order.len() > self.best.len() {
            self.best = self.order.clone();
            self.best_tasks.clear();
        }
        if self.order.len() == self.best.len() && self.best_tasks.len() < 3 {
            self.best_tasks.push(world.task.clone());
        }
        if !self.seen.insert((self.bits(), world.clone())) {
            return false;
        }
        let first_end = self.first_end(&self.done);
        for i in self.candidates(&self.done) {
            let visible = self.ops[i].visible_from <= first_end;
            let next = after(self.queues, &world, &self.ops[i], visible);
            if next.is_empty() {
                continue;
            }
            self.done[i] = true;
            self.order.push(i);
            for world in next {
                if self.from(world) {
                    return true;
                }
            }
            self.order.pop();
            self.done[i] = false;
        }
        false
    }

    fn bits(&self) -> Vec<u64> {
        let mut bits = vec![0u64; self.done.len().div_ceil(64)];
        for (i, done) in self.done.iter().enumerate() {
            bits[i / 64] |= u64::from(*done) << (i % 64);
        }
        bits
    }
}

/// The worlds after this op, if it can happen in this one; `visible`: and others can see what it did.
fn after(queues: &[Queue], world: &World, op: &Op, visible: bool) -> Vec<World> {
    if op.is_crash() {
        // Any change that was not flushed may be gone, and with it those after it. What is left is on disk.
        let lost = world
            .unflushed
            .iter()
            .rev()
            .take_while(|(_, flushed_by)| *flushed_by > op.begun)
            .count();
        let all = world.unflushed.len();
        return (all - lost..all)
            .map(|i| world.unflushed[i].0.clone())
            .chain([world.task.clone()])
            .map(|task| World {
                task,
                unflushed: Vec::new(),
            })
            .collect();
    }
    // (now, at the savepoint)
    let mut tasks: Vec<(Task, Option<Task>)> = vec![(world.task.clone(), None)];
    for step in &op.steps {
        let mut next = Vec::new();
        for (task, savepoint) in tasks {
            match step {
                Step::Savepoint => next.push((task.clone(), Some(task))),
                Step::RollbackToSavepoint => {
                    let back = savepoint.clone().unwrap_or(task);
                    next.push((back, savepoint));
                }
                Step::Call(call) => {
                    for task in task.after(queues, &call.act, call.reply.as_ref(), call.window) {
                        let state = (task, savepoint.clone());
                        if !next.contains(&state) {
                            next.push(state);
                        }
                    }
                }
            }
        }
        tasks = next;
    }
    if tasks.is_empty() {
        return Vec::new();
    }
    if op.fate == Fate::RolledBack {
        return vec![world.clone()];
    }
    let mut worlds: Vec<World> = Vec::new();
    if op.fate == Fate::Unknown {
        worlds.push(world.clone());
    }
    if !visible {
        return worlds;
    }
    for (task, _) in tasks {
        // (A call that has work undone is answered as its replay is.)
        let written = op.has_written() || task.is_undone_since(&world.task);
        let unflushed = if op.flushed && written {
            Vec::new()
        } else if task == world.task {
            world.unflushed.clone()
        } else {
            let mut all = world.unflushed.clone();
            all.push((world.task.clone(), op.flushed_by));
            all
        };
        let world = World { task, unflushed };
        if !worlds.contains(&world) {
            worlds.push(world);
        }
    }
    worlds
}
