//! How runs of a workflow move on: tasks end, steps follow, and somebody pauses, resumes or cancels the whole beside it. Each call
//! is a transaction, a sequence of the phases in which it takes its locks, and is undone at any of them.

pub mod configurations;
mod database;
mod moving;

use crate::check::Named;
use crate::model::run::{
    OnError, RunEvent, RunState, StepState, When, next_run, run_end, survives_failure, verdict,
};
use crate::words::{Heard, Verb, Word};
use database::{Lock, RUNS, Row, Rows, STEPS, Set, TASKS, Task, Transaction};
use stateright::{Model, Property};

const SLOTS: usize = 3;

/// Runs, and who is at work.
#[derive(Clone)]
pub struct Runs {
    /// A step's needs come before it.
    pub steps: &'static [Step],
    pub on_error: OnError,
    /// What one call finalizes: tasks, in the order of their ids.
    pub batches: &'static [&'static [u8]],
    /// Batches that may also fail.
    pub fails: &'static [u8],
    /// How often each of these may be tried (and not be rolled back).
    pub calls: Calls,
    /// `running` of a cancel.
    pub running: Running,
    /// The tasks have slots: who leaves a place locks the run's key.
    pub max_parallel: bool,
    /// Transactions open at a time.
    pub open: usize,
    pub fault: Option<Fault>,
    pub heard: Heard,
}

#[derive(Clone, Copy)]
pub struct Step {
    pub run: u8,
    pub tasks: u8,
    pub needs: &'static [u8],
    pub when: When,
    pub checkpoint: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Calls {
    pub pause: u8,
    pub resume: u8,
    pub cancel: u8,
    pub redrive: u8,
    pub requeue: u8,
    /// `task_cancel` of what has not started.
    pub call_off: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    Ask,
    Leave,
    Force,
}

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Who comes from a task waits for the run's gate, with its task in its hands.
    GateAwaited,
    /// Who comes from a task moves the run on whether its gate is closed or not, and without its row.
    GateIgnored,
    /// Nothing is left for later when the gate is closed.
    DueForgotten,
    /// A failure that meets a closed gate is not left for later.
    FailureForgotten,
    /// The gate is held open, and the run's row is not locked: ends of two steps are looked at side by side.
    RowUnlocked,
    /// The state of the run is read before its row is waited for.
    StateReadEarly,
    /// Who resumes looks at what follows the steps that have ended meanwhile, and at nothing else.
    ResumeLooksAtEnds,
    /// A lease that an acquire has taken stands, wherever its run is.
    GrantedMissing,
    /// A task of a failing run whose lease was taken back waits, and nobody is told.
    CalledOffForgotten,
    /// A task gets back in line, or is blocked, by what is seen of its run, without its gate.
    RequeueUnlocked,
    /// The counter is read, and then written.
    CountUnlocked,
    /// A call locks its runs in the order in which its tasks name them.
    UnsortedRuns,
    /// A cancel leaves the steps that wait.
    CancelKeepsWaiting,
    /// A redrive does not open the step that had ended.
    RedriveKeepsStep,
    /// Who cancels takes the tasks first, and then the gate.
    TasksBeforeGate,
    /// What has not started is called off, and what others hold is passed over and forgotten.
    PassedOverForgotten,
    /// Who resumes a run that a failure stops counts down what it ends, and then waits for the other tasks.
    TasksAfterCounters,
    /// The end of a step is looked at without the failures in it that are left for later.
    FailureOvertaken,
    /// A lease stands if its run was paused when it was seen, and is not any more, whatever came of that.
    GrantedLooksOnce,
    /// A lease that was taken back because the gate is closed is taken again, until it opens.
    TakenAgain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    End { batch: u8, failed: bool },
    Requeue(u8),
    CallOff(u8),
    Acquire,
    Pause(u8),
    Resume(u8),
    Cancel(u8),
    Redrive(u8),
}

/// The phase that a transaction is in: what it does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum At {
    /// Its own tasks, or a run's, are locked one by one.
    Tasks,
    /// A task whose lease is given back: in line again, or blocked.
    Requeue,
    /// What others left is taken up.
    Due,
    /// A failure calls off what has not started.
    Fail,
    Key(u8),
    Count(u8),
    /// The gate is tried.
    Gate(u8),
    /// The run's row is locked, and the run moves on.
    Move(u8),
    /// The statement that claims takes its snapshot.
    Snapshot,
    Claim,
    /// The gate is closed, by who controls the run.
    Control(u8),
    /// What is in line in a paused run is blocked.
    Sweep(u8),
    /// A cancel has all the tasks it needs.
    Cancel(u8),
    /// Who resumes holds the key of the tasks that will get in line.
    Hold(u8),
    LineUp(u8),
    CountUp(u8),
    OpenStep(u8),
    Commit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    committed: Rows,
    /// Rows in `baton.due`, of steps and of failed tasks.
    due: [u8; STEPS],
    due_failed: [u8; TASKS],
    left_to_call: Calls,
    open: [Option<Transaction>; SLOTS],
    /// As committed: how often each step was dispatched.
    dispatched: [u8; STEPS],
    /// Something was granted or dispatched in a paused run, or in a cancelled one.
    in_paused: bool,
    in_cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Begin(Program),
    Go(usize),
    Rollback(usize),
}

impl Runs {
    fn tasks_of(&self, step: u8) -> Set {
        let before: u8 = self.steps[..step as usize].iter().map(|s| s.tasks).sum();
        Set::range(before, before + self.steps[step as usize].tasks)
    }

    fn step_of(&self, task: u8) -> u8 {
        (0..self.steps.len() as u8)
            .find(|&step| self.tasks_of(step).has(task))
            .expect("every task is of a step")
    }

    fn run_of(&self, task: u8) -> u8 {
        self.steps[self.step_of(task) as usize].run
    }

    fn steps_of(&self, run: u8) -> Set {
        let of = |step: &u8| self.steps[*step as usize].run == run;
        (0..self.steps.len() as u8).filter(of).collect()
    }

    fn runs(&self) -> u8 {
        1 + self.steps.iter().map(|step| step.run).max().unwrap_or(0)
    }

    fn tasks(&self) -> u8 {
        self.steps.iter().map(|step| step.tasks).sum()
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn hear(&self, word: Word) {
        self.heard.hear(Verb::Run, word);
    }

    /// The row that the transaction must lock before it goes on, waiting for it.
    fn wanted(&self, transaction: &Transaction) -> Option<(Row, Lock)> {
        Some(match transaction.at {
            At::Tasks => (Row::Task(transaction.todo.first()?), Lock::Update),
            At::Key(run) | At::Hold(run) => (Row::Key(run), Lock::NoKeyUpdate),
            At::Count(_) if self.is(Fault::CountUnlocked) => return None,
            At::Count(step) | At::CountUp(step) => (Row::Count(step), Lock::NoKeyUpdate),
            At::OpenStep(step) => (Row::Step(step), Lock::NoKeyUpdate),
            At::Gate(run) if self.is(Fault::GateAwaited) => (Row::Run(run), Lock::KeyShare),
            At::Move(_) if self.is(Fault::RowUnlocked) || self.is(Fault::GateIgnored) => {
                return None;
            }
            At::Move(run) => (Row::Run(run), Lock::NoKeyUpdate),
            At::Control(run) => (Row::Run(run), Lock::Update),
            At::Claim if self.is(Fault::TakenAgain) => {
                let task = transaction.candidates.first()?;
                if transaction.holds(Row::Task(task)) == Lock::None {
                    return None;
                }
                (Row::Run(self.run_of(task)), Lock::KeyShare)
            }
            _ => return None,
        })
    }

    /// Whoever holds what the transaction in this slot waits for.
    fn blockers(&self, world: &World, slot: usize) -> Vec<usize> {
        let Some((row, lock)) = world.open[slot].as_ref().and_then(|t| self.wanted(t)) else {
            return Vec::new();
        };
        world.holders(slot, row, lock).collect()
    }

    /// V2: some transactions wait for each other in a circle.
    fn deadlock(&self, world: &World) -> bool {
        let mut stuck: Vec<usize> = (0..SLOTS)
            .filter(|&slot| world.open[slot].is_some())
            .collect();
        loop {
            let still: Vec<usize> = stuck
                .iter()
                .copied()
                .filter(|&slot| {
                    self.blockers(world, slot)
                        .iter()
                        .any(|by| stuck.contains(by))
                })
                .collect();
            if still.len() == stuck.len() {
                return !stuck.is_empty();
            }
            stuck = still;
        }
    }

    fn may_begin(&self, world: &World, program: Program) -> bool {
        let rows = &world.committed;
        let same = world
            .open
            .iter()
            .flatten()
            .filter(|open| open.program == program)
            .count();
        let calls = &world.left_to_call;
        let live = |task: u8| matches!(rows.task[task as usize], Task::Leased | Task::Asked);
        match program {
            Program::End { batch, .. } => {
                let other = world.open.iter().flatten().any(
                    |open| matches!(open.program, Program::End { batch: other, .. } if other == batch),
                );
                !other && self.batches[batch as usize].iter().any(|task| live(*task))
            }
            Program::Requeue(task) => same == 0 && calls.requeue > 0 && live(task),
            Program::CallOff(task) => {
                let waits = matches!(rows.task[task as usize], Task::Ready | Task::Blocked);
                same == 0 && calls.call_off > 0 && waits
            }
            Program::Acquire => {
                let any = |due: &[u8]| due.iter().any(|due| *due > 0);
                same < 2
                    && (rows.task.contains(&Task::Ready)
                        || any(&world.due)
                        || any(&world.due_failed))
            }
            Program::Pause(run) => {
                same == 0 && calls.pause > 0 && !rows.run[run as usize].state.is_terminal()
            }
            Program::Resume(run) => {
                calls.resume > 0 && rows.run[run as usize].state == RunState::Paused
            }
            Program::Cancel(run) => {
                same == 0 && calls.cancel > 0 && !rows.run[run as usize].state.is_terminal()
            }
            Program::Redrive(task) => {
                let run = rows.run[self.run_of(task) as usize];
                same == 0
                    && calls.redrive > 0
                    && run.state == RunState::Paused
                    && rows.task[task as usize] == Task::Failed
            }
        }
    }

    fn programs(&self) -> Vec<Program> {
        let mut programs = vec![Program::Acquire];
        for batch in 0..self.batches.len() as u8 {
            programs.push(Program::End {
                batch,
                failed: false,
            });
            if self.fails.contains(&batch) {
                programs.push(Program::End {
                    batch,
                    failed: true,
                });
            }
        }
        for task in 0..self.tasks() {
            programs.extend([
                Program::Requeue(task),
                Program::CallOff(task),
                Program::Redrive(task),
            ]);
        }
        for run in 0..self.runs() {
            programs.extend([
                Program::Pause(run),
                Program::Resume(run),
                Program::Cancel(run),
            ]);
        }
        programs
    }

    fn begin(&self, world: &mut World, program: Program) {
        let calls = &mut world.left_to_call;
        let mut todo = Set::default();
        let at = match program {
            Program::End { batch, .. } => {
                todo = self.batches[batch as usize].iter().copied().collect();
                At::Tasks
            }
            Program::Requeue(task) => {
                calls.requeue -= 1;
                todo.add(task);
                At::Tasks
            }
            Program::CallOff(task) => {
                calls.call_off -= 1;
                todo.add(task);
                At::Tasks
            }
            Program::Acquire => At::Due,
            Program::Pause(run) => {
                calls.pause -= 1;
                At::Control(run)
            }
            Program::Resume(run) => {
                calls.resume -= 1;
                At::Control(run)
            }
            Program::Cancel(run) => {
                calls.cancel -= 1;
                if self.is(Fault::TasksBeforeGate) {
                    todo = self.in_flight(&world.committed, run);
                    At::Tasks
                } else {
                    At::Control(run)
                }
            }
            Program::Redrive(task) => {
                calls.redrive -= 1;
                At::Control(self.run_of(task))
            }
        };
        let mut transaction = Transaction::new(program, at);
        transaction.todo = todo;
        for run in 0..self.runs() {
            let state = world.committed.run[run as usize].state;
            if !matches!(state, RunState::Running | RunState::Failing) {
                transaction.begun_in_stopped.add(run);
            }
        }
        let slot = world.open.iter().position(Option::is_none);
        world.open[slot.expect("somebody may begin")] = Some(transaction);
    }

    /// What is in flight in a run.
    fn in_flight(&self, rows: &Rows, run: u8) -> Set {
        (0..self.tasks())
            .filter(|&task| {
                let state = rows.task[task as usize];
                let locked = match self.running {
                    Running::Leave => matches!(state, Task::Ready | Task::Blocked),
                    _ => state.is_live(),
                };
                self.run_of(task) == run && locked
            })
            .collect()
    }

    fn go(&self, last: &World, slot: usize) -> Option<World> {
        let mut world = *last;
        let mut transaction = world.open[slot].take()?;
        if let Some((row, lock)) = self.wanted(&transaction) {
            if last.holders(slot, row, lock).next().is_some() {
                return None;
            }
            transaction.lock(row, lock);
        }
        if transaction.at == At::Commit {
            self.commit(&mut world, &transaction);
            return Some(world);
        }
        let mut moving = moving::Phase {
            model: self,
            world: &world,
            own: transaction,
        };
        if moving.go() {
            world.open[slot] = Some(moving.own);
        }
        Some(world)
    }

    fn commit(&self, world: &mut World, transaction: &Transaction) {
        for run in 0..self.runs() {
            let state = world.committed.run[run as usize].state;
            let steps = self.steps_of(run);
            let moves = transaction.dispatched.iter().any(|step| steps.has(step));
            let leased = transaction
                .granted
                .iter()
                .any(|task| self.run_of(task) == run);
            let resumes = transaction.program == Program::Resume(run);
            let leased_late = leased && transaction.begun_in_stopped.has(run);
            if state == RunState::Paused && (moves && !resumes || leased_late) {
                world.in_paused = true;
            }
            // What is leased while somebody cancels is waited for, unless it may run on.
            let leased = leased && self.running != Running::Leave || leased_late;
            if (state == RunState::Cancelling || state.is_terminal()) && (moves || leased) {
                world.in_cancelled = true;
            }
        }
        transaction.commit(&mut world.committed);
        for step in 0..STEPS {
            world.due[step] -= transaction.took[step];
            let leaves = transaction.leaves.has(step as u8);
            world.due[step] = 3.min(world.due[step] + u8::from(leaves));
            let made = transaction.dispatched.has(step as u8);
            world.dispatched[step] = 2.min(world.dispatched[step] + u8::from(made));
        }
        for task in 0..TASKS {
            world.due_failed[task] -= transaction.took_failed[task];
            let leaves = transaction.leaves_failed.has(task as u8);
            world.due_failed[task] = 3.min(world.due_failed[task] + u8::from(leaves));
        }
        let run = world.committed.run;
        for open in world.open.iter_mut().flatten() {
            open.begun_in_stopped.retain(|run_id| {
                let state = run[run_id as usize].state;
                !matches!(state, RunState::Running | RunState::Failing)
            });
        }
    }

    fn is_quiet(&self, world: &World) -> bool {
        world.open.iter().all(Option::is_none)
    }

    fn is_due(&self, world: &World, run: u8) -> bool {
        let tasks = |step: u8| self.tasks_of(step);
        self.steps_of(run).iter().any(|step| {
            world.due[step as usize] > 0
                || tasks(step)
                    .iter()
                    .any(|task| world.due_failed[task as usize] > 0)
        })
    }

    fn verdict(&self, rows: &Rows, step: u8) -> Option<crate::model::run::Verdict> {
        let spec = &self.steps[step as usize];
        let needs: Vec<StepState> = spec
            .needs
            .iter()
            .map(|need| rows.step[*need as usize].state)
            .collect();
        verdict(spec.when, &needs)
    }

    /// D2: with nothing under way and nothing due, no step waits whose needs have ended.
    fn no_join_lost(&self, world: &World) -> bool {
        let rows = &world.committed;
        !self.is_quiet(world)
            || (0..self.runs()).all(|run| {
                let state = rows.run[run as usize].state;
                let goes_on = matches!(state, RunState::Running | RunState::Failing);
                !goes_on
                    || self.is_due(world, run)
                    || self.steps_of(run).iter().all(|step| {
                        let row = rows.step[step as usize];
                        match row.state {
                            StepState::Waiting => {
                                let stays = state == RunState::Running
                                    || survives_failure(self.steps[step as usize].when);
                                stays && self.verdict(rows, step).is_none()
                            }
                            StepState::Running => true,
                            _ => row.noted,
                        }
                    })
            })
    }

    /// D3: what has started had a reason to.
    fn never_early(&self, world: &World) -> bool {
        let rows = &world.committed;
        (0..self.steps.len() as u8).all(|step| {
            world.dispatched[step as usize] == 0
                || self.verdict(rows, step) == Some(crate::model::run::Verdict::Run)
        })
    }

    /// D4: the counters are what a recount gives.
    fn counters_agree(&self, world: &World) -> bool {
        let rows = &world.committed;
        (0..self.steps.len() as u8).all(|step| {
            let is = |wanted: fn(Task) -> bool| {
                let tasks = self.tasks_of(step);
                tasks
                    .iter()
                    .filter(|&task| wanted(rows.task[task as usize]))
                    .count() as u8
            };
            let count = rows.count[step as usize];
            let begun = rows.step[step as usize].state != StepState::Waiting;
            !begun
                || count.remaining == is(Task::is_live)
                    && count.failed == is(|task| task == Task::Failed)
                    && count.cancelled == is(|task| task == Task::Cancelled)
        })
    }

    /// With nothing left to do the run has ended, as its steps say, or waits to be resumed.
    fn ends(&self, world: &World) -> bool {
        let rows = &world.committed;
        let busy = |task: &Task| matches!(task, Task::Ready | Task::Leased | Task::Asked);
        !self.is_quiet(world)
            || rows.task.iter().any(busy)
            || (0..self.runs()).all(|run| {
                let state = rows.run[run as usize].state;
                let steps = self.steps_of(run);
                let states = steps.iter().map(|step| rows.step[step as usize].state);
                let cancelled = rows.run[run as usize].cancelled;
                state == RunState::Paused
                    || self.is_due(world, run)
                    || state.is_terminal()
                        && run_end(cancelled, states) == Some(state)
                        && !(0..self.tasks()).any(|task| {
                            self.run_of(task) == run && rows.task[task as usize].is_live()
                        })
            })
    }

    /// A failure is heard by its run, as `on_error` says.
    fn failures_are_heard(&self, world: &World) -> bool {
        let rows = &world.committed;
        let failed = |run: u8| {
            (0..self.tasks())
                .any(|task| self.run_of(task) == run && rows.task[task as usize] == Task::Failed)
        };
        !self.is_quiet(world)
            || world.due_failed.iter().any(|due| *due > 0)
            || (0..self.runs()).all(|run| {
                let row = rows.run[run as usize];
                let heard = match (self.on_error, row.state) {
                    (OnError::Continue, _) => true,
                    (_, RunState::Paused) => row.on_error || row.failed,
                    (OnError::Pause, state) => {
                        row.cancelled
                            || row.continues
                            || !state.is_terminal() && state != RunState::Running
                    }
                    (OnError::Fail, state) => state != RunState::Running,
                };
                !failed(run) || row.continues || heard
            })
    }
}

impl World {
    /// The slots, but this one, that hold the row so that the lock must wait.
    fn holders(&self, slot: usize, row: Row, lock: Lock) -> impl Iterator<Item = usize> + '_ {
        (0..SLOTS).filter(move |&other| {
            other != slot
                && self.open[other]
                    .as_ref()
                    .is_some_and(|open| open.holds(row).conflicts(lock))
        })
    }

    /// The same for the one transaction that is not among the open ones just now.
    fn is_taken(&self, row: Row, lock: Lock) -> bool {
        self.holders(SLOTS, row, lock).next().is_some()
    }
}

impl Model for Runs {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        assert!(self.tasks() as usize <= TASKS && self.steps.len() <= STEPS);
        assert!(self.runs() as usize <= RUNS);
        let mut committed = Rows::new();
        let mut dispatched = [0; STEPS];
        for (step, spec) in self.steps.iter().enumerate() {
            if !spec.needs.is_empty() {
                continue;
            }
            dispatched[step] = 1;
            committed.step[step].state = StepState::Running;
            committed.count[step].remaining = spec.tasks;
            // The first task of each is leased, so that its worker may end it at once.
            for (i, task) in self.tasks_of(step as u8).iter().enumerate() {
                committed.task[task as usize] = if i == 0 { Task::Leased } else { Task::Ready };
            }
        }
        vec![World {
            committed,
            due: [0; STEPS],
            due_failed: [0; TASKS],
            left_to_call: self.calls,
            open: [None; SLOTS],
            dispatched,
            in_paused: false,
            in_cancelled: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let mut open = 0;
        for slot in 0..SLOTS {
            if world.open[slot].is_some() {
                open += 1;
                actions.push(Action::Go(slot));
                actions.push(Action::Rollback(slot));
            }
        }
        if open < self.open {
            actions.extend(
                self.programs()
                    .into_iter()
                    .filter(|program| self.may_begin(world, *program))
                    .map(Action::Begin),
            );
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = match action {
            Action::Begin(program) => {
                let mut world = *last;
                self.begin(&mut world, program);
                world
            }
            Action::Go(slot) => self.go(last, slot)?,
            Action::Rollback(slot) => {
                self.hear(Word::Undone);
                let mut world = *last;
                world.open[slot] = None;
                world
            }
        };
        world.open.sort_unstable();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("D1", |_, world: &World| {
                world.dispatched.iter().all(|&made| made <= 1)
            }),
            Property::always("D2", |model: &Runs, world| model.no_join_lost(world)),
            Property::always("D3", |model: &Runs, world| model.never_early(world)),
            Property::always("D4", |model: &Runs, world| model.counters_agree(world)),
            Property::always("C1", |_, world: &World| !world.in_cancelled),
            Property::always("pause", |_, world: &World| !world.in_paused),
            Property::always("ends", |model: &Runs, world| model.ends(world)),
            Property::always("on_error", |model: &Runs, world| {
                model.failures_are_heard(world)
            }),
            Property::always("V2", |model: &Runs, world| !model.deadlock(world)),
        ]
    }
}

impl Named for Runs {
    fn told(&self, world: &World, action: &Action) -> String {
        let of = |slot: usize| {
            world.open[slot]
                .as_ref()
                .map_or_else(String::new, |open| self.program_told(open.program))
        };
        match action {
            Action::Begin(program) => format!("{}: begins", self.program_told(*program)),
            Action::Go(slot) => {
                let at = world.open[*slot].as_ref().map(|open| open.told());
                format!("{}: {}", of(*slot), at.unwrap_or_default())
            }
            Action::Rollback(slot) => format!("{}: is rolled back", of(*slot)),
        }
    }

    fn sketch(&self, world: &World) -> String {
        let rows = &world.committed;
        let runs: Vec<&str> = (0..self.runs())
            .map(|run| match rows.run[run as usize].state {
                RunState::Failing => "failing",
                state => state.name(),
            })
            .collect();
        let steps: Vec<&str> = (0..self.steps.len())
            .map(|step| rows.step[step].state.name())
            .collect();
        let tasks: Vec<String> = (0..self.tasks())
            .map(|task| format!("{:?}", rows.task[task as usize]).to_lowercase())
            .collect();
        format!(
            "run {}; steps {}; tasks {}; due {:?}",
            runs.join(" "),
            steps.join(" "),
            tasks.join(" "),
            &world.due[..self.steps.len()]
        )
    }
}

impl Runs {
    fn program_told(&self, program: Program) -> String {
        match program {
            Program::End { batch, failed } => {
                let how = if failed { "failed" } else { "completed" };
                format!("finalize {:?} as {how}", self.batches[batch as usize])
            }
            Program::Requeue(task) => format!("give task {task} back"),
            Program::CallOff(task) => format!("cancel task {task}"),
            Program::Acquire => "acquire".to_owned(),
            Program::Pause(run) => format!("pause run {run}"),
            Program::Resume(run) => format!("resume run {run}"),
            Program::Cancel(run) => format!("cancel run {run}"),
            Program::Redrive(task) => format!("redrive task {task}"),
        }
    }
}
