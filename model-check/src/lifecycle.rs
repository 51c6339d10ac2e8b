//! The life of a task: every call that can reach it, at any time, any number of times, in transactions that
//! overlap and may be undone.
//!
//! A worker is not modelled as a process: whatever token a committed acquire has handed out, any call with it may
//! arrive whenever it likes. That is more than any worker does, and so includes all of them: those that die,
//! come back late, repeat a call whose answer was lost, or whose messages are delivered twice.

pub mod configurations;
mod history;
mod task;
mod verbs;

use crate::check::Named;
use crate::model::ending::OnLost;
use crate::model::state::State;
use crate::words::{Heard, Verb, Word};
use history::{Fate, Lease, deserved};
use stateright::{Model, Property};
use task::Task;

pub const TASKS: usize = 2;
pub const SLOTS: usize = 3;

/// A queue, who calls, how much of everything there is, and which fault is built in.
#[derive(Clone)]
pub struct Lifecycle {
    pub tasks: usize,
    /// Transactions open at a time.
    pub slots: usize,
    pub owners: u8,
    /// Tokens drawn at most, and leases granted at most for one task.
    pub tokens: u8,
    pub leases: usize,
    /// The last tick of the clock, which starts at 1.
    pub clock: u8,
    pub ttl: u8,
    pub beat_ttl: u8,
    pub max_runtime: Option<u8>,
    pub on_lost: OnLost,
    pub max_attempts: u8,
    pub max_lost_leases: u8,
    /// Events are appended while the tape is shorter than this.
    pub events: u8,
    pub calls: &'static [Verb],
    /// What workers report to `task_finalize`.
    pub reports: &'static [State],
    /// Transactions may be undone.
    pub crashes: bool,
    pub fault: Option<Fault>,
    pub heard: Heard,
}

/// Bugs that systems like this one have had. The model with one of them must show what it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The owner's name is the fence.
    FenceByOwner,
    /// The number of the attempt is the fence; a release refunds the attempt.
    FenceByAttempt,
    /// The next token is the row's highest and 1, not a sequence's.
    TokenFromRow,
    HeartbeatUnfenced,
    AppendUnfenced,
    /// Finalize by id only.
    FinalizeById,
    /// `lease_expires_at > now` in the WHERE of an UPDATE, which is evaluated before it waits.
    ExpiryBeforeLock,
    /// Overdue tasks are read first, and then requeued by id.
    ReapFromOldSnapshot,
    /// The owner's name is enough to reap its leases.
    ReapOwnerByName,
    /// A task that was ready when it was read is leased without a second look.
    AcquireUnchecked,
    /// The state is looked at before the lock, and trusted after it.
    AppendBeforeLock,
    /// `seq` is max + 1, without the lock.
    SeqWithoutLock,
    /// A cancel of a queued task sets a flag.
    CancelSetsFlag,
    /// A lost lease is requeued although a cancel was requested.
    CancelForgotten,
    /// `task_require_lease` reads, and locks nothing.
    RequireWithoutLock,
    /// A replay is recognized by the task's state, not by who ended it.
    ReplayByState,
    /// A release keeps the attempt counted.
    ReleaseCounted,
    /// `check_at` moves with a heartbeat, and one length too far.
    CheckTooLate,
    /// Whoever ends a lease leaves its expiry in the row.
    ExpiryLeftBehind,
}

#[cfg(test)]
impl Fault {
    pub const ALL: [Fault; 19] = [
        Fault::FenceByOwner,
        Fault::FenceByAttempt,
        Fault::TokenFromRow,
        Fault::HeartbeatUnfenced,
        Fault::AppendUnfenced,
        Fault::FinalizeById,
        Fault::ExpiryBeforeLock,
        Fault::ReapFromOldSnapshot,
        Fault::ReapOwnerByName,
        Fault::AcquireUnchecked,
        Fault::AppendBeforeLock,
        Fault::SeqWithoutLock,
        Fault::CancelSetsFlag,
        Fault::CancelForgotten,
        Fault::RequireWithoutLock,
        Fault::ReplayByState,
        Fault::ReleaseCounted,
        Fault::CheckTooLate,
        Fault::ExpiryLeftBehind,
    ];
}

/// Who sends a call: the lease it was granted, and what it remembers of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder {
    task: u8,
    /// `None`: of an acquire that was rolled back.
    lease: Option<u8>,
    token: u8,
}

impl Holder {
    fn lease_of(self, task: &Task, task_id: u8) -> Option<Lease> {
        let lease = self.lease.filter(|_| self.task == task_id)?;
        Some(task.history.leases[lease as usize])
    }

    fn is_current(self, task: &Task, task_id: u8) -> bool {
        self.lease_of(task, task_id)
            .is_some_and(|lease| lease.fate == Fate::Current)
    }
}

/// A call, as it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// One task of those that a `task_acquire_lease` may come upon.
    AcquireInLine {
        task: u8,
        owner: u8,
    },
    AcquireById {
        task: u8,
        owner: u8,
    },
    Start {
        task: u8,
        by: Holder,
    },
    Heartbeat {
        task: u8,
        by: Holder,
    },
    Finalize {
        task: u8,
        by: Holder,
        state: State,
    },
    FailAttempt {
        task: u8,
        by: Holder,
        later: bool,
    },
    Release {
        task: u8,
        by: Holder,
        later: bool,
        unless_started: bool,
    },
    Append {
        task: u8,
        by: Option<Holder>,
    },
    /// With the caller's own writes in the same transaction.
    RequireLease {
        task: u8,
        by: Holder,
    },
    Cancel {
        task: u8,
        force: bool,
    },
    Reap {
        task: u8,
    },
    ReapOwner {
        task: u8,
        owner: u8,
        up_to_token: u8,
    },
}

impl Call {
    fn task(&self) -> u8 {
        match *self {
            Call::AcquireInLine { task, .. }
            | Call::AcquireById { task, .. }
            | Call::Start { task, .. }
            | Call::Heartbeat { task, .. }
            | Call::Finalize { task, .. }
            | Call::FailAttempt { task, .. }
            | Call::Release { task, .. }
            | Call::Append { task, .. }
            | Call::RequireLease { task, .. }
            | Call::Cancel { task, .. }
            | Call::Reap { task }
            | Call::ReapOwner { task, .. } => task,
        }
    }

    /// Who shows a token.
    fn holder(&self) -> Option<Holder> {
        match *self {
            Call::Start { by, .. }
            | Call::Heartbeat { by, .. }
            | Call::Finalize { by, .. }
            | Call::FailAttempt { by, .. }
            | Call::Release { by, .. }
            | Call::RequireLease { by, .. } => Some(by),
            Call::Append { by, .. } => by,
            _ => None,
        }
    }

    fn verb(&self) -> Verb {
        match self {
            Call::AcquireInLine { .. } => Verb::AcquireLease,
            Call::AcquireById { .. } => Verb::AcquireLeaseById,
            Call::Start { .. } => Verb::Start,
            Call::Heartbeat { .. } => Verb::Heartbeat,
            Call::Finalize { .. } => Verb::Finalize,
            Call::FailAttempt { .. } => Verb::FailAttempt,
            Call::Release { .. } => Verb::Release,
            Call::Append { .. } => Verb::AppendEvent,
            Call::RequireLease { .. } => Verb::RequireLease,
            Call::Cancel { .. } => Verb::Cancel,
            Call::Reap { .. } => Verb::Reap,
            Call::ReapOwner { .. } => Verb::ReapOwner,
        }
    }

    /// Takes its task with SKIP LOCKED.
    fn skips_locked(&self) -> bool {
        let verbs = [Verb::AcquireLease, Verb::Reap, Verb::ReapOwner];
        verbs.contains(&self.verb())
    }
}

/// An open transaction with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Transaction {
    call: Call,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::large_enum_variant, reason = "states are copied, never boxed")]
enum Phase {
    /// Its statement has a snapshot, in which it found the task, and will lock it. `saw`: what a fault takes along
    /// from the snapshot; 0 in a model without one.
    Waiting { saw: u8 },
    /// It holds the lock, and has written this version.
    Holding { version: Task },
}

/// A rule that a step has broken. (Rules about states are looked at in `properties`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    A2,
    A3,
    A4,
    E1,
    L1,
    L2,
    Answers,
    Fenced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    clock: u8,
    /// `baton.token_seq`: no rollback takes it back.
    drawn: u8,
    /// What the last acquire that was rolled back had in its hands.
    phantom: Option<Holder>,
    /// As committed.
    tasks: [Task; TASKS],
    /// Sorted, so that it does not matter who is who.
    open: [Option<Transaction>; SLOTS],
    broken: u16,
}

impl World {
    fn break_rule(&mut self, rule: Rule) {
        self.broken |= 1 << rule as u16;
    }

    fn kept(&self, rule: Rule) -> bool {
        self.broken & 1 << rule as u16 == 0
    }

    fn close(&mut self, slot: usize) {
        self.open[slot] = None;
        self.open.sort_unstable();
    }
}

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Tick,
    /// A call arrives, and its first statement takes its snapshot.
    Arrive(Call),
    /// It gets the lock (or skips the task), reads the row anew, and acts.
    Act(usize),
    Commit(usize),
    Rollback(usize),
}

/// The strength of the lock that a call takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lock {
    KeyShare,
    NoKeyUpdate,
    Update,
}

impl Lifecycle {
    fn expiry(&self, leased_at: u8, now: u8, ttl: u8) -> u8 {
        let latest = self
            .max_runtime
            .map_or(u8::MAX, |runtime| leased_at + runtime);
        (now + ttl).min(latest)
    }

    /// The lease was granted, or extended, as far as `max_runtime` goes.
    fn timed_out(&self, task: &Task) -> bool {
        let latest = self.max_runtime.map(|runtime| task.leased_at + runtime);
        latest.is_some_and(|latest| task.expires_at >= latest)
    }

    fn lock(&self, call: &Call) -> Option<Lock> {
        Some(match call {
            Call::RequireLease { .. } if self.fault == Some(Fault::RequireWithoutLock) => {
                return None;
            }
            Call::Append { .. } if self.fault == Some(Fault::SeqWithoutLock) => return None,
            Call::RequireLease { .. } => Lock::KeyShare,
            Call::Start { .. } | Call::Heartbeat { .. } | Call::Append { .. } => Lock::NoKeyUpdate,
            _ => Lock::Update,
        })
    }

    /// Another transaction holds the call's task.
    fn locked(&self, world: &World, call: &Call) -> bool {
        let Some(wanted) = self.lock(call) else {
            return false;
        };
        world.open.iter().flatten().any(|other| {
            let held = match other.phase {
                Phase::Holding { .. } if other.call.task() == call.task() => self.lock(&other.call),
                _ => None,
            };
            match (wanted, held) {
                (_, None) => false,
                (Lock::KeyShare, Some(held)) => held == Lock::Update,
                (wanted, Some(Lock::KeyShare)) => wanted == Lock::Update,
                (_, Some(_)) => true,
            }
        })
    }

    fn arrivals(&self, world: &World, steps: &mut Vec<Step>) {
        let may = |verb: Verb| self.calls.contains(&verb);
        let mut arrive = |call: Call| {
            if may(call.verb()) {
                steps.push(Step::Arrive(call));
            }
        };
        for task in 0..self.tasks as u8 {
            let row = &world.tasks[task as usize];
            let open = world.open.iter().flatten();
            let under_way = open
                .filter(|other| self.grants(&other.call) && other.call.task() == task)
                .count();
            if world.drawn < self.tokens && row.history.granted() + under_way < self.leases {
                for owner in 1..=self.owners {
                    arrive(Call::AcquireInLine { task, owner });
                    arrive(Call::AcquireById { task, owner });
                }
            }
            for force in [false, true] {
                arrive(Call::Cancel { task, force });
            }
            arrive(Call::Reap { task });
            if row.last_seq < self.events {
                arrive(Call::Append { task, by: None });
            }
            for from in 0..self.tasks as u8 {
                let leases = world.tasks[from as usize].history.leases;
                let granted = leases
                    .iter()
                    .take_while(|lease| lease.fate != Fate::NotGranted);
                let holders = granted.enumerate().map(|(index, lease)| Holder {
                    task: from,
                    lease: Some(index as u8),
                    token: lease.token,
                });
                for by in holders.chain(world.phantom.filter(|by| by.task == from)) {
                    arrive(Call::Start { task, by });
                    arrive(Call::Heartbeat { task, by });
                    for &state in self.reports {
                        arrive(Call::Finalize { task, by, state });
                    }
                    for later in [false, true] {
                        arrive(Call::FailAttempt { task, by, later });
                        arrive(Call::Release {
                            task,
                            by,
                            later,
                            unless_started: later,
                        });
                    }
                    if row.last_seq < self.events || row.state.is_terminal() {
                        arrive(Call::Append { task, by: Some(by) });
                    }
                    arrive(Call::RequireLease { task, by });
                    if let Some(lease) = by.lease.filter(|_| from == task) {
                        let owner = leases[lease as usize].owner;
                        arrive(Call::ReapOwner {
                            task,
                            owner,
                            up_to_token: by.token,
                        });
                    }
                }
            }
        }
    }

    fn grants(&self, call: &Call) -> bool {
        matches!(call, Call::AcquireInLine { .. } | Call::AcquireById { .. })
    }

    /// The answer, compared with what the contract says. `task` is the version that it was given about.
    fn answer(&self, world: &mut World, task: &Task, call: &Call, word: Word) {
        self.heard.hear(call.verb(), word);
        if word != deserved(self, task, call, world.clock) {
            world.break_rule(Rule::Answers);
        }
    }

    fn arrive(&self, last: &World, call: Call) -> Option<World> {
        let mut world = *last;
        let task = last.tasks[call.task() as usize];
        if let Some(saw) = self.sees(&task, &call, last.clock) {
            let phase = Phase::Waiting { saw };
            // Sorted, the free slots stand in front.
            world.open[0] = Some(Transaction { call, phase });
            world.open.sort_unstable();
            return Some(world);
        }
        self.explain(&mut world, &task, &call);
        (world.broken != last.broken).then_some(world)
    }

    /// A call that found nothing to lock is told why; it changes nothing.
    fn explain(&self, world: &mut World, task: &Task, call: &Call) {
        match self.explanation(task, call, world.clock) {
            Some(word) if call.skips_locked() => self.heard.hear(call.verb(), word),
            Some(word) => self.answer(world, task, call, word),
            // It would try again: a call that arrives now.
            None => {}
        }
    }

    fn act(&self, last: &World, slot: usize) -> Option<World> {
        let mut world = *last;
        let Transaction { call, phase } = last.open[slot]?;
        let Phase::Waiting { saw } = phase else {
            return None;
        };
        let before = last.tasks[call.task() as usize];
        if self.locked(last, &call) {
            if !call.skips_locked() {
                return None;
            }
            self.heard.hear(call.verb(), Word::NoRow);
            world.close(slot);
            return Some(world);
        }
        if !self.still_matches(&before, &call, saw, world.clock) {
            self.explain(&mut world, &before, &call);
            world.close(slot);
            return Some(world);
        }
        let mut version = before;
        let word = self.execute(&mut world, &mut version, &call, saw);
        self.answer(&mut world, &before, &call, word);
        if call
            .holder()
            .is_some_and(|by| !by.is_current(&before, call.task()))
            && version != before
        {
            world.break_rule(Rule::A3);
        }
        let unlocked = self.lock(&call).is_none();
        if unlocked && version != before {
            // Without a lock others have written meanwhile: the version is theirs but for one event.
            world.tasks[call.task() as usize] = version;
            world.close(slot);
        } else if version == before && word != Word::Passed {
            // It holds a lock and has nothing to undo: to wait for it, or to come later, is the same.
            world.close(slot);
        } else {
            world.open[slot] = Some(Transaction {
                call,
                phase: Phase::Holding { version },
            });
            world.open.sort_unstable();
        }
        Some(world)
    }

    fn commit(&self, last: &World, slot: usize) -> Option<World> {
        let mut world = *last;
        let Transaction { call, phase } = last.open[slot]?;
        let Phase::Holding { version } = phase else {
            return None;
        };
        let row = &mut world.tasks[call.task() as usize];
        if let Call::RequireLease { by, .. } = call {
            // The caller's own writes become visible now: nobody may have taken or ended the lease.
            if !by.is_current(row, call.task()) {
                world.break_rule(Rule::Fenced);
            }
        } else {
            let ended = row.state.is_terminal();
            *row = version;
            if ended {
                world.break_rule(Rule::L2);
            }
            self.heard.hear(Verb::State, state_word(version.state));
            for other in world.open.iter_mut().flatten() {
                // The row has changed: an UPDATE that waited evaluates its WHERE again.
                if other.call.task() == call.task()
                    && let Phase::Waiting { saw } = &mut other.phase
                    && self.fault == Some(Fault::ExpiryBeforeLock)
                {
                    *saw = 0;
                }
            }
        }
        world.close(slot);
        Some(world)
    }

    fn rollback(&self, last: &World, slot: usize) -> Option<World> {
        let mut world = *last;
        let Transaction { call, phase } = last.open[slot]?;
        if let Phase::Holding { version } = phase {
            self.heard.hear(Verb::Crash, Word::Undone);
            let before = last.tasks[call.task() as usize].history;
            if self.grants(&call) && version.history.granted() > before.granted() {
                world.phantom = Some(Holder {
                    task: call.task(),
                    lease: None,
                    token: version.lease_token,
                });
            }
        }
        world.close(slot);
        Some(world)
    }
}

fn state_word(state: State) -> Word {
    match state {
        State::Completed => Word::Completed,
        State::Failed => Word::Failed,
        State::Cancelled => Word::Cancelled,
        State::Quarantined => Word::Quarantined,
        State::Scheduled => Word::RetryScheduled,
        State::Ready => Word::Requeued,
        _ => Word::Leased,
    }
}

impl Model for Lifecycle {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            clock: 1,
            drawn: 0,
            phantom: None,
            tasks: [Task::new(); TASKS],
            open: [None; SLOTS],
            broken: 0,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.clock < self.clock {
            steps.push(Step::Tick);
        }
        let open = world.open.iter().flatten().count();
        for (slot, transaction) in world.open.iter().enumerate() {
            match transaction.map(|transaction| transaction.phase) {
                None => {}
                // A transaction that has written nothing may as well never get the lock.
                Some(Phase::Waiting { .. }) => steps.push(Step::Act(slot)),
                Some(Phase::Holding { .. }) => {
                    steps.push(Step::Commit(slot));
                    if self.crashes {
                        steps.push(Step::Rollback(slot));
                    }
                }
            }
        }
        if open < self.slots {
            self.arrivals(world, steps);
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        match step {
            Step::Tick => Some(World {
                clock: last.clock + 1,
                ..*last
            }),
            Step::Arrive(call) => self.arrive(last, call),
            Step::Act(slot) => self.act(last, slot),
            Step::Commit(slot) => self.commit(last, slot),
            Step::Rollback(slot) => self.rollback(last, slot),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn every(model: &Lifecycle, world: &World, holds: impl Fn(&Task) -> bool) -> bool {
            world.tasks[..model.tasks].iter().all(holds)
        }
        vec![
            Property::always("A1", |model, world: &World| {
                every(model, world, |task| task.history.live(world.clock) <= 1)
            }),
            Property::always("A2", |_, world: &World| world.kept(Rule::A2)),
            Property::always("A3", |_, world: &World| world.kept(Rule::A3)),
            Property::always("A3, writes beside", |_, world: &World| {
                world.kept(Rule::Fenced)
            }),
            Property::always("A4", |_, world: &World| world.kept(Rule::A4)),
            Property::always("L1", |_, world: &World| world.kept(Rule::L1)),
            Property::always("L2", |_, world: &World| world.kept(Rule::L2)),
            Property::always("L3", |model, world: &World| every(model, world, agrees)),
            Property::always("E1", |model, world: &World| {
                let dense = |task: &Task| {
                    let all = (1 << (u32::from(task.last_seq) + 1)) - 2;
                    task.tape_as_read().is_some_and(|read| read & all == all)
                };
                world.kept(Rule::E1) && every(model, world, dense)
            }),
            Property::always("E2", |model, world: &World| {
                let nothing_behind = |task: &Task| task.tape >> task.last_seq == 0;
                every(model, world, |task| {
                    !task.state.is_terminal() || nothing_behind(task)
                })
            }),
            Property::always("C1", |model, world: &World| {
                every(model, world, |task| {
                    let over = !task.history.told_cancelled
                        || matches!(
                            task.state,
                            State::Cancelled | State::Ready | State::Scheduled
                        );
                    let asked = task.running() || task.state.is_terminal();
                    over && (!task.cancel_requested || asked || task.history.told_cancelled)
                })
            }),
            Property::always("C2", |model, world: &World| {
                every(model, world, |task| {
                    !task.history.told_cancelled || task.state == State::Cancelled
                })
            }),
            Property::always("V1", |model, world: &World| {
                every(model, world, |task| task.check_at <= task.expires_at)
            }),
            Property::always("counts", |model, world: &World| {
                every(model, world, |task| {
                    (task.attempt, task.lost_leases) == task.history.counts()
                        && task.attempt <= model.max_attempts
                        && task.lost_leases <= model.max_lost_leases
                })
            }),
            Property::always("answers", |_, world: &World| world.kept(Rule::Answers)),
        ]
    }
}

/// L3: state, owner, token and expiry agree.
fn agrees(task: &Task) -> bool {
    let lease = [
        task.lease_token,
        task.owner,
        task.expires_at,
        task.leased_seq,
    ];
    match task.state {
        State::Running => lease.iter().all(|&column| column > 0),
        state if state.is_terminal() => {
            task.expires_at == 0 && (!task.ended_by_lease || task.lease_token > 0)
        }
        _ => lease.iter().all(|&column| column == 0),
    }
}

impl Named for Lifecycle {
    fn told(&self, world: &World, step: &Step) -> String {
        let of = |slot: usize| match &world.open[slot] {
            Some(transaction) => told(&transaction.call),
            None => String::new(),
        };
        match step {
            Step::Tick => format!("the clock goes to {}", world.clock + 1),
            Step::Arrive(call) => format!("{} arrives", told(call)),
            Step::Act(slot) => format!("{} has the lock, and acts", of(*slot)),
            Step::Commit(slot) => format!("{} commits", of(*slot)),
            Step::Rollback(slot) => format!("{} is rolled back", of(*slot)),
        }
    }

    fn sketch(&self, world: &World) -> String {
        let tasks = world.tasks[..self.tasks].iter().map(|task| {
            let mut sketch = task.state.name().to_owned();
            if task.lease_token > 0 {
                sketch += &format!(", token {} of owner {}", task.lease_token, task.owner);
            }
            if task.expires_at > 0 {
                sketch += &format!(" until {}", task.expires_at);
            }
            sketch
        });
        format!(
            "clock {}: {}",
            world.clock,
            tasks.collect::<Vec<_>>().join("; ")
        )
    }
}

fn told(call: &Call) -> String {
    let by = call.holder().map_or(String::new(), |by| match by.lease {
        Some(lease) => format!(" by the holder of lease {} (token {})", lease + 1, by.token),
        None => format!(" by the holder of token {}, rolled back", by.token),
    });
    let detail = match call {
        Call::AcquireInLine { owner, .. } | Call::AcquireById { owner, .. } => {
            format!(" by owner {owner}")
        }
        Call::Finalize { state, .. } => format!(" as {}", state.name()),
        Call::Cancel { force: true, .. } => " by force".to_owned(),
        Call::FailAttempt { later: true, .. } | Call::Release { later: true, .. } => {
            " with a delay".to_owned()
        }
        Call::ReapOwner {
            owner, up_to_token, ..
        } => format!(" of owner {owner} up to token {up_to_token}"),
        _ => String::new(),
    };
    format!("{}{detail}{by}", call.verb().name())
}
