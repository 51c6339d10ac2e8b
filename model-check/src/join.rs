//! How the ends of items become one successor: transactions as sequences of statements, which overlap in every
//! way that row locks and statement snapshots allow, and are undone at any point.

pub mod configurations;
mod database;
mod programs;

use crate::check::Named;
use crate::words::{Heard, Verb, Word};
use database::{GROUPS, ITEMS, Lock, Row, Rows, SHARDS};
use programs::{Program, Then, Transaction};
use stateright::{Model, Property};

const SLOTS: usize = 4;
const RUNNING: u8 = 0;
const CANCELLED: u8 = 1;

/// Groups of items, and who is at work.
#[derive(Clone)]
pub struct Join {
    /// Items per group; they are numbered through.
    pub groups: &'static [usize],
    pub mechanism: Mechanism,
    pub fault: Option<Fault>,
    /// The counter of a group is split as `limits::shards` says; else it is one row.
    pub split: bool,
    /// What is ended by one call: items, in the order in which they are named.
    pub batches: &'static [&'static [u8]],
    /// How many try to end the same: its worker, and somebody who cancels or reaps it.
    pub enders: u8,
    /// The last end of a group dispatches what the group names.
    pub built_in: bool,
    /// Each end is told by a message, whose handler calls `task_dispatch_successor`: this many deliveries.
    pub deliveries: u8,
    /// The handler's successor needs all groups, not only its own.
    pub needs_all: bool,
    /// Workers call `task_dispatch_successor` in the transaction in which they finalize.
    pub in_one_transaction: bool,
    /// Somebody cancels the run: marks it, then ends its tasks.
    pub cancel: bool,
    /// Somebody holds the run's gate for a while.
    pub gate: bool,
    /// Transactions open at a time.
    pub slots: usize,
    /// Transactions may be undone, at any statement.
    pub crashes: bool,
    /// Every statement takes its snapshot in a step of its own, also where nothing depends on it.
    pub every_snapshot: bool,
    pub heard: Heard,
}

/// How it is found out that a group has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Counters under lock: what the extension does.
    Counters,
    /// "Are all my siblings done?", in the transaction that ends an item.
    NotExists,
    /// The same, in a transaction after it.
    NotExistsLater,
    /// The same in one statement with the update of the step's row, which is locked thereby.
    NotExistsUnderLock,
    /// The step's row is locked by one statement, and the siblings are looked at by the next.
    LockThenLook,
}

/// What is done wrong, with counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The counter is read, and then written.
    ReadThenWrite,
    /// Who finds the item ended counts it down all the same.
    LoserCounts,
    /// Whoever brings a shard to 0 dispatches.
    ShardDispatches,
    /// A batch locks its tasks in the order in which they are named.
    UnsortedBatch,
    /// The last end waits for the run's gate, with its item in its hands.
    GateAwaited,
    /// The last end does nothing when the gate is taken.
    GateForgotten,
    /// The last end does not look at the run.
    GateIgnored,
    /// A successor is made without its place in `baton.dispatch`.
    NoKey,
    /// The handler reads the counters without a lock, in the transaction of its end.
    HandlerUnlocked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    committed: Rows,
    /// As committed: how many successors were made of each name.
    successors: [u8; GROUPS],
    /// Messages that were handled, per item.
    handled: [u8; ITEMS],
    open: [Option<Transaction>; SLOTS],
    /// A successor was made in a run that had been cancelled.
    dispatched_in_cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Begin(Program),
    /// A statement takes its snapshot.
    Snapshot(usize),
    /// A statement gets its lock, and does what it does; or the transaction commits.
    Go(usize),
    Rollback(usize),
}

impl Join {
    fn items(&self) -> usize {
        self.groups.iter().sum()
    }

    fn group_of(&self, item: u8) -> u8 {
        let mut first = 0;
        for (group, items) in self.groups.iter().enumerate() {
            if (item as usize) < first + items {
                return group as u8;
            }
            first += items;
        }
        panic!("no item {item}");
    }

    fn first_of(&self, group: u8) -> u8 {
        self.groups[..group as usize].iter().sum::<usize>() as u8
    }

    fn items_of(&self, group: u8) -> std::ops::Range<u8> {
        let first = self.first_of(group);
        first..first + self.groups[group as usize] as u8
    }

    fn shards(&self, group: u8) -> u8 {
        if self.split {
            crate::model::limits::shards(self.groups[group as usize]) as u8
        } else {
            1
        }
    }

    /// As step_items_insert.sql spreads them.
    fn shard_of(&self, item: u8) -> u8 {
        let group = self.group_of(item);
        (item - self.first_of(group)) % self.shards(group)
    }

    /// The groups that a handler's successor waits for.
    fn needed(&self, item: u8) -> Vec<u8> {
        if self.needs_all {
            (0..self.groups.len() as u8).collect()
        } else {
            vec![self.group_of(item)]
        }
    }

    /// The successor that a handler dispatches.
    fn successor_of(&self, item: u8) -> u8 {
        if self.needs_all {
            0
        } else {
            self.group_of(item)
        }
    }

    fn handlers(&self) -> bool {
        self.deliveries > 0 || self.in_one_transaction
    }

    fn begins(&self, world: &World, steps: &mut Vec<Step>) {
        let open = |program: &Program| world.open.iter().flatten().any(|t| t.program == *program);
        let mut begin = |program: Program| {
            if !open(&program) {
                steps.push(Step::Begin(program));
            }
        };
        let live = |item: u8| world.committed.get(Row::Item(item)) == 0;
        for (batch, items) in self.batches.iter().enumerate() {
            if items.iter().any(|&item| live(item)) {
                for by in 0..self.enders {
                    begin(Program::End {
                        batch: batch as u8,
                        by,
                    });
                }
            }
        }
        for item in 0..self.items() as u8 {
            let naive = self.mechanism == Mechanism::NotExistsLater;
            let deliveries = if naive { 1 } else { self.deliveries };
            if !live(item) && world.handled[item as usize] < deliveries {
                begin(if naive {
                    Program::Look { item }
                } else {
                    Program::Handle { item }
                });
            }
        }
        if self.cancel && world.committed.get(Row::Run) == RUNNING {
            begin(Program::CancelRun);
        }
        if self.gate {
            begin(Program::HoldGate);
        }
        for group in 0..self.groups.len() as u8 {
            if world.committed.get(Row::Due(group)) > 0 {
                begin(Program::WorkDue { group });
            }
        }
    }

    /// Whom a transaction waits for, by slot.
    fn blockers(&self, world: &World, slot: usize) -> Vec<usize> {
        let Some(transaction) = world.open[slot] else {
            return Vec::new();
        };
        match self.wanted(&transaction) {
            Some((row, lock, true)) => self.holders(world, slot, row, lock),
            _ => Vec::new(),
        }
    }

    fn holders(&self, world: &World, slot: usize, row: Row, lock: Lock) -> Vec<usize> {
        let others = world
            .open
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != slot);
        let holds = others.filter(|(_, open)| open.is_some_and(|t| t.session.conflicts(row, lock)));
        holds.map(|(other, _)| other).collect()
    }

    /// Some transactions wait for each other.
    fn deadlock(&self, world: &World) -> bool {
        let mut stuck: Vec<usize> = (0..SLOTS)
            .filter(|&slot| world.open[slot].is_some())
            .collect();
        loop {
            let goes_on = |slot: &usize| {
                !self
                    .blockers(world, *slot)
                    .iter()
                    .any(|by| stuck.contains(by))
            };
            let still: Vec<usize> = stuck
                .iter()
                .copied()
                .filter(|slot| !goes_on(slot))
                .collect();
            if still.len() == stuck.len() {
                return !stuck.is_empty();
            }
            stuck = still;
        }
    }

    fn go(&self, last: &World, slot: usize) -> Option<World> {
        let mut world = *last;
        let mut transaction = last.open[slot]?;
        let mut taken = false;
        if let Some((row, lock, waits)) = self.wanted(&transaction) {
            taken = !self.holders(last, slot, row, lock).is_empty();
            if taken && waits {
                return None;
            }
            if !taken {
                transaction.session.lock(row, lock);
            }
        }
        match self.statement(&mut transaction, &last.committed, taken) {
            Then::Statement => world.open[slot] = Some(transaction),
            Then::Commit => {
                let made: u8 = transaction.session.successors.iter().sum();
                if made > 0 && transaction.session.read(&last.committed, Row::Run) == CANCELLED {
                    world.dispatched_in_cancelled = true;
                }
                transaction.session.commit(&mut world.committed);
                for group in 0..GROUPS {
                    world.successors[group] += transaction.session.successors[group];
                }
                if let Program::Handle { item } | Program::Look { item } = transaction.program {
                    world.handled[item as usize] += 1;
                }
                if let (true, Program::End { batch, .. }) =
                    (self.in_one_transaction, transaction.program)
                {
                    for &item in self.batches[batch as usize] {
                        world.handled[item as usize] = 1;
                    }
                }
                world.open[slot] = None;
            }
        }
        world.open.sort_unstable();
        Some(world)
    }

    fn all_ended(&self, world: &World, group: u8) -> bool {
        self.items_of(group)
            .all(|item| world.committed.get(Row::Item(item)) > 0)
    }

    /// D2: with nothing under way, what has ended is dispatched, or due.
    fn dispatched_or_due(&self, world: &World) -> bool {
        if world.open.iter().any(Option::is_some) || world.committed.get(Row::Run) != RUNNING {
            return true;
        }
        let groups = 0..self.groups.len() as u8;
        if self.built_in {
            let told = |group: u8| {
                let looked = self.mechanism != Mechanism::NotExistsLater
                    || self
                        .items_of(group)
                        .all(|item| world.handled[item as usize] > 0);
                !looked
                    || world.successors[group as usize] > 0
                    || world.committed.get(Row::Due(group)) > 0
            };
            if !groups
                .clone()
                .all(|group| !self.all_ended(world, group) || told(group))
            {
                return false;
            }
        }
        if self.handlers() {
            let handled = |item: u8| {
                let needed = self.needed(item);
                let over = needed.iter().all(|&group| {
                    let told = self
                        .items_of(group)
                        .all(|item| world.handled[item as usize] > 0);
                    told && self.all_ended(world, group)
                });
                let successor = self.successor_of(item) as usize;
                !over
                    || world.successors[successor] > 0
                    || world.committed.get(Row::Due(successor as u8)) > 0
            };
            return (0..self.items() as u8).all(handled);
        }
        true
    }

    /// D3: no successor before the groups that it needs have ended.
    fn never_early(&self, world: &World) -> bool {
        (0..self.groups.len() as u8).all(|group| {
            let needed = if self.needs_all && self.handlers() {
                (0..self.groups.len() as u8).collect()
            } else {
                vec![group]
            };
            world.successors[group as usize] == 0
                || needed.iter().all(|&group| self.all_ended(world, group))
        })
    }

    /// D4: the counters are what a recount gives.
    fn counters_agree(&self, world: &World) -> bool {
        if self.mechanism != Mechanism::Counters {
            return true;
        }
        (0..self.groups.len() as u8).all(|group| {
            let mut open_shards = 0;
            for shard in 0..self.shards(group) {
                let mut items = self
                    .items_of(group)
                    .filter(|&item| self.shard_of(item) == shard);
                let live = |item: &u8| world.committed.get(Row::Item(*item)) == 0;
                let remaining = items.by_ref().filter(live).count() as u8;
                if remaining != world.committed.get(Row::Count(group, shard)) {
                    return false;
                }
                open_shards += u8::from(remaining > 0);
            }
            world.committed.get(Row::Step(group)) == open_shards
        })
    }
}

impl Model for Join {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut committed = Rows::EMPTY;
        if self.mechanism == Mechanism::Counters {
            for group in 0..self.groups.len() as u8 {
                // step_counts_insert.sql, step_insert.sql
                let (total, shards) = (self.groups[group as usize] as u8, self.shards(group));
                assert!(shards as usize <= SHARDS);
                for shard in 0..shards {
                    let remaining = (total - shard).div_ceil(shards);
                    committed.set(Row::Count(group, shard), remaining);
                }
                committed.set(Row::Step(group), shards);
            }
        }
        vec![World {
            committed,
            successors: [0; GROUPS],
            handled: [0; ITEMS],
            open: [None; SLOTS],
            dispatched_in_cancelled: false,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let mut open = 0;
        for (slot, transaction) in world.open.iter().enumerate() {
            let Some(transaction) = transaction else {
                continue;
            };
            open += 1;
            if self.takes_snapshot(transaction) && transaction.snapshot.is_none() {
                steps.push(Step::Snapshot(slot));
            } else {
                steps.push(Step::Go(slot));
            }
            if self.crashes {
                steps.push(Step::Rollback(slot));
            }
        }
        if open < self.slots {
            self.begins(world, steps);
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = *last;
        match step {
            Step::Begin(program) => world.open[0] = Some(self.begin(program)),
            Step::Snapshot(slot) => world.open[slot].as_mut()?.snapshot = Some(last.committed),
            Step::Go(slot) => return self.go(last, slot),
            Step::Rollback(slot) => {
                self.heard.hear(Verb::Join, Word::Undone);
                world.open[slot] = None;
            }
        }
        world.open.sort_unstable();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("D1", |_, world: &World| {
                world.successors.iter().all(|&made| made <= 1)
            }),
            Property::always("D2", |model: &Join, world| model.dispatched_or_due(world)),
            Property::always("D3", |model: &Join, world| model.never_early(world)),
            Property::always("D4", |model: &Join, world| model.counters_agree(world)),
            Property::always("C1", |_, world: &World| !world.dispatched_in_cancelled),
            Property::always("V2", |model: &Join, world| !model.deadlock(world)),
        ]
    }
}

impl Named for Join {
    fn told(&self, world: &World, step: &Step) -> String {
        let of = |slot: usize| match &world.open[slot] {
            Some(transaction) => (
                self.program_told(transaction.program),
                transaction.at.told(),
            ),
            None => (String::new(), String::new()),
        };
        match step {
            Step::Begin(program) => format!("{}: begins", self.program_told(*program)),
            Step::Snapshot(slot) => {
                format!("{}: takes the snapshot for: {}", of(*slot).0, of(*slot).1)
            }
            Step::Go(slot) => format!("{}: {}", of(*slot).0, of(*slot).1),
            Step::Rollback(slot) => format!("{}: is rolled back", of(*slot).0),
        }
    }

    fn sketch(&self, world: &World) -> String {
        let items =
            (0..self.items() as u8).map(|item| match world.committed.get(Row::Item(item)) {
                0 => "live",
                _ => "ended",
            });
        let items = items.collect::<Vec<_>>().join(" ");
        format!(
            "committed: {items}; successors {:?}",
            &world.successors[..self.groups.len()]
        )
    }
}
