//! Rows, their locks, and what a transaction has written.

use super::{At, Program};
use crate::model::run::{RunState, StepState};

pub const TASKS: usize = 5;
pub const STEPS: usize = 4;
pub const RUNS: usize = 2;

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    /// Its step has not started.
    None,
    Ready,
    Blocked,
    Leased,
    /// Leased, and asked to stop.
    Asked,
    Completed,
    Failed,
    Cancelled,
}

impl Task {
    pub fn is_live(self) -> bool {
        matches!(
            self,
            Task::Ready | Task::Blocked | Task::Leased | Task::Asked
        )
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Count {
    pub remaining: u8,
    pub failed: u8,
    pub cancelled: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepRow {
    pub state: StepState,
    pub noted: bool,
    pub checkpoint_passed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunRow {
    pub state: RunState,
    /// It was cancelled.
    pub cancelled: bool,
    /// It is paused at on_error; else at a checkpoint of another name.
    pub on_error: bool,
    /// Tasks failed while it was paused elsewhere.
    pub failed: bool,
    /// It was resumed from on_error: `on_error` is `continue` now.
    pub continues: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rows {
    pub task: [Task; TASKS],
    pub count: [Count; STEPS],
    pub step: [StepRow; STEPS],
    pub run: [RunRow; RUNS],
}

impl Rows {
    pub fn new() -> Rows {
        Rows {
            task: [Task::None; TASKS],
            count: [Count::default(); STEPS],
            step: [StepRow {
                state: StepState::Waiting,
                noted: false,
                checkpoint_passed: false,
            }; STEPS],
            run: [RunRow {
                state: RunState::Running,
                cancelled: false,
                on_error: false,
                failed: false,
                continues: false,
            }; RUNS],
        }
    }
}

/// A row that is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Task(u8),
    /// The slot key of a run.
    Key(u8),
    Count(u8),
    Step(u8),
    Run(u8),
}

impl Row {
    fn number(self) -> usize {
        match self {
            Row::Task(task) => task as usize,
            Row::Count(step) => TASKS + step as usize,
            Row::Step(step) => TASKS + STEPS + step as usize,
            Row::Run(run) => TASKS + 2 * STEPS + run as usize,
            Row::Key(run) => TASKS + 2 * STEPS + RUNS + run as usize,
        }
    }
}

/// Row locks, as PostgreSQL names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    None,
    KeyShare,
    NoKeyUpdate,
    Update,
}

impl Lock {
    const ALL: [Lock; 4] = [Lock::None, Lock::KeyShare, Lock::NoKeyUpdate, Lock::Update];

    pub fn conflicts(self, other: Lock) -> bool {
        use Lock::*;
        matches!(
            (self, other),
            (Update, KeyShare | NoKeyUpdate | Update)
                | (NoKeyUpdate, NoKeyUpdate | Update)
                | (KeyShare, Update)
        )
    }
}

/// Small numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Set(u8);

impl Set {
    pub fn range(from: u8, to: u8) -> Set {
        (from..to).collect()
    }

    pub fn has(self, number: u8) -> bool {
        self.0 & 1 << number != 0
    }

    pub fn add(&mut self, number: u8) {
        self.0 |= 1 << number;
    }

    pub fn take(&mut self, number: u8) {
        self.0 &= !(1 << number);
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn first(self) -> Option<u8> {
        self.iter().next()
    }

    pub fn last(self) -> Option<u8> {
        self.iter().last()
    }

    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |number| self.has(*number))
    }

    pub fn retain(&mut self, keep: impl Fn(u8) -> bool) {
        *self = self.iter().filter(|number| keep(*number)).collect();
    }
}

impl FromIterator<u8> for Set {
    fn from_iter<I: IntoIterator<Item = u8>>(numbers: I) -> Set {
        let mut set = Set::default();
        numbers.into_iter().for_each(|number| set.add(number));
        set
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Transaction {
    pub program: Program,
    pub at: At,
    /// What it has written; the other rows are as a new one finds them.
    rows: Rows,
    wrote: u32,
    locks: u64,
    /// Rows of `due` that it has taken, and those that it leaves.
    pub took: [u8; STEPS],
    pub took_failed: [u8; TASKS],
    pub leaves: Set,
    pub leaves_failed: Set,
    /// Tasks that it is still to lock.
    pub todo: Set,
    /// Tasks that it has ended, and not counted down yet.
    pub ended: Set,
    pub failures: Set,
    /// What it is still to do: keys and counters, and runs to be moved on.
    pub keys: Set,
    pub counts: Set,
    pub runs: Set,
    /// Steps whose last item it has ended, and those that others left to it.
    pub joined: Set,
    pub due: Set,
    /// Runs whose gate was closed when failures were to call off what has not started: a step of each.
    pub gate_was_closed: Set,
    /// What the statement that claims has seen.
    pub candidates: Set,
    pub seen: [RunState; RUNS],
    pub dispatched: Set,
    pub granted: Set,
    /// Runs that were paused, or cancelled, before it began, and are.
    pub begun_in_stopped: Set,
}

impl Transaction {
    pub fn new(program: Program, at: At) -> Transaction {
        Transaction {
            program,
            at,
            rows: Rows::new(),
            wrote: 0,
            locks: 0,
            took: [0; STEPS],
            took_failed: [0; TASKS],
            leaves: Set::default(),
            leaves_failed: Set::default(),
            todo: Set::default(),
            ended: Set::default(),
            failures: Set::default(),
            keys: Set::default(),
            counts: Set::default(),
            runs: Set::default(),
            joined: Set::default(),
            due: Set::default(),
            gate_was_closed: Set::default(),
            candidates: Set::default(),
            seen: [RunState::Running; RUNS],
            dispatched: Set::default(),
            granted: Set::default(),
            begun_in_stopped: Set::default(),
        }
    }

    pub fn holds(&self, row: Row) -> Lock {
        Lock::ALL[(self.locks >> (2 * row.number()) & 3) as usize]
    }

    pub fn lock(&mut self, row: Row, lock: Lock) {
        let lock = lock.max(self.holds(row));
        self.locks &= !(3 << (2 * row.number()));
        self.locks |= (lock as u64) << (2 * row.number());
    }

    pub fn did_anything(&self) -> bool {
        let took = |taken: &[u8]| taken.iter().any(|taken| *taken > 0);
        self.wrote != 0 || took(&self.took) || took(&self.took_failed)
    }

    fn has_written(&self, row: Row) -> bool {
        self.wrote & 1 << row.number() != 0
    }

    fn write(&mut self, row: Row) {
        self.wrote |= 1 << row.number();
        self.lock(row, Lock::NoKeyUpdate);
    }

    pub fn task(&self, committed: &Rows, task: u8) -> Task {
        let own = self.has_written(Row::Task(task));
        if own { &self.rows } else { committed }.task[task as usize]
    }

    pub fn count(&self, committed: &Rows, step: u8) -> Count {
        let own = self.has_written(Row::Count(step));
        if own { &self.rows } else { committed }.count[step as usize]
    }

    pub fn step(&self, committed: &Rows, step: u8) -> StepRow {
        let own = self.has_written(Row::Step(step));
        if own { &self.rows } else { committed }.step[step as usize]
    }

    pub fn run(&self, committed: &Rows, run: u8) -> RunRow {
        let own = self.has_written(Row::Run(run));
        if own { &self.rows } else { committed }.run[run as usize]
    }

    pub fn set_task(&mut self, task: u8, state: Task) {
        self.write(Row::Task(task));
        self.lock(Row::Task(task), Lock::Update);
        self.rows.task[task as usize] = state;
    }

    pub fn set_count(&mut self, step: u8, count: Count) {
        self.write(Row::Count(step));
        self.rows.count[step as usize] = count;
    }

    pub fn set_step(&mut self, step: u8, row: StepRow) {
        self.write(Row::Step(step));
        self.rows.step[step as usize] = row;
    }

    pub fn set_run(&mut self, run: u8, row: RunRow) {
        self.write(Row::Run(run));
        self.rows.run[run as usize] = row;
    }

    pub fn commit(&self, committed: &mut Rows) {
        for task in 0..TASKS as u8 {
            committed.task[task as usize] = self.task(committed, task);
        }
        for step in 0..STEPS as u8 {
            committed.count[step as usize] = self.count(committed, step);
            committed.step[step as usize] = self.step(committed, step);
        }
        for run in 0..RUNS as u8 {
            committed.run[run as usize] = self.run(committed, run);
        }
    }

    pub fn told(&self) -> String {
        match self.at {
            At::Tasks => format!("locks task {}", self.todo.first().unwrap_or_default()),
            At::Requeue => "asks where the run is".into(),
            At::Due => "takes up what is due".into(),
            At::Fail => "calls off what has not started".into(),
            At::Key(run) | At::Hold(run) => format!("locks the key of run {run}"),
            At::Count(step) => format!("counts step {step} down"),
            At::Gate(run) => format!("tries the gate of run {run}"),
            At::Move(run) => format!("locks the row of run {run}, moves it on"),
            At::Snapshot => "takes the snapshot of its claim".into(),
            At::Claim => "claims".into(),
            At::Control(run) => format!("closes the gate of run {run}"),
            At::Sweep(_) => "blocks what is in line".into(),
            At::Cancel(_) => "ends what has not started".into(),
            At::LineUp(_) => "puts in line what was blocked, moves the run on".into(),
            At::CountUp(step) => format!("counts step {step} up"),
            At::OpenStep(step) => format!("opens step {step}"),
            At::Commit => "commits".into(),
        }
    }
}
