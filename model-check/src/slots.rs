//! Slots of keys, tasks that need one of each of theirs, and who is at work: all orders of the statements of `src/verbs/slots.rs`.

pub mod configurations;
mod database;
mod protocol;

use crate::check::Named;
use crate::words::{Heard, Verb, Word};
use database::*;
use protocol::{At, Others, Program, Transaction, Wanted};
use stateright::{Model, Property};

const OPEN: usize = 3;

/// Keys, tasks, and who is at work.
#[derive(Clone)]
pub struct Slots {
    /// The capacity of each key, in the beginning.
    pub capacities: &'static [u8],
    /// The keys of each task, a bit each.
    pub tasks: &'static [u8],
    /// Tasks that are there in the beginning: they hold slots, or are in line for the first of their keys that is full.
    pub there: u8,
    /// What `slot_set` is called with, once each.
    pub sets: &'static [(u8, u8)],
    /// Who has ended a task takes up what is due in the same transaction.
    pub acquires: bool,
    /// Tasks in line are called off.
    pub cancels: bool,
    /// How many take up what is due at the same time.
    pub takers: u8,
    /// Transactions open at a time.
    pub open: usize,
    /// Transactions may be undone, at any statement.
    pub crashes: bool,
    /// Statements that lock take their snapshot in a step of their own.
    pub every_snapshot: bool,
    pub fault: Option<Fault>,
    pub heard: Heard,
}

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody is seen on a side.
    NoSides,
    OnlyWhoFreesIsSeen,
    OnlyWhoWaitsIsSeen,
    /// Who enters a side waits until nobody is on the other one.
    SideAwaited,
    /// Who is not sure leaves nothing.
    DueForgotten,
    /// Who takes up what is due does not ask whether others are over.
    DueDeletedAtOnce,
    /// Who takes up what is due does not lock it before he asks, and deletes it when he has given out what is free.
    DueNotLocked,
    /// Who frees a slot where he knew of a line, and takes the side only then, does not look once more.
    FreerDoesNotLookAgain,
    /// Who gets in line does not look once more, when he has the side.
    WaiterDoesNotLookAgain,
    /// A free slot that others have locked is none, for who has the side.
    LockedSlotIgnored,
    /// A free slot and a waiter that others have locked are left to them.
    OpenForgotten,
    /// Who takes slots away from a key does not lock it.
    DrainUnlocked,
    /// A slot is taken of a key that has too many.
    TakenWhileDraining,
    /// What is free is taken, also where a key has none free.
    NotAllOrNone,
    /// A slot that was given back by who lacks another one stays there.
    NextNotAsked,
    /// A slot that was taken and freed anew since the snapshot counts as taken.
    FreedAnew,
    /// New slots are left to whoever comes.
    RaiseWakesNobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    committed: Rows,
    open: [Option<Transaction>; OPEN],
    /// Calls of `slot_set` that have committed, a bit each.
    sets_done: u8,
    /// A slot was taken of a key of which as many as its capacity were held.
    overfull: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Begin(Program),
    /// A statement takes its snapshot.
    Snapshot(usize),
    /// A statement gets its locks, and does what it does; or the transaction commits.
    Go(usize),
    Rollback(usize),
}

impl Slots {
    fn keys_of(&self, task: u8) -> u8 {
        self.tasks[task as usize]
    }

    fn all_keys(&self) -> std::ops::Range<u8> {
        0..self.capacities.len() as u8
    }

    fn all_tasks(&self) -> std::ops::Range<u8> {
        0..self.tasks.len() as u8
    }

    fn begins(&self, world: &World, steps: &mut Vec<Step>) {
        let open: Vec<Program> = world.open.iter().flatten().map(|t| t.program).collect();
        for task in self.all_tasks() {
            let is_open = open.iter().any(|program| match program {
                Program::Create { task: other } => *other == task,
                Program::End { task: other, .. } => *other == task,
                _ => false,
            });
            if is_open {
                continue;
            }
            match world.committed.get(Row::Task(task)) {
                ABSENT => steps.push(Step::Begin(Program::Create { task })),
                READY => {
                    for guess in [false, true] {
                        steps.push(Step::Begin(Program::End { task, guess }));
                    }
                }
                ENDED => {}
                _ if self.cancels => steps.push(Step::Begin(Program::End { task, guess: false })),
                _ => {}
            }
        }
        let takers = open.iter().filter(|program| **program == Program::TakeUp);
        if takers.count() < self.takers as usize && self.any_due(&world.committed) {
            steps.push(Step::Begin(Program::TakeUp));
        }
        for nth in 0..self.sets.len() as u8 {
            let set = Program::Set { nth };
            if world.sets_done & 1 << nth == 0 && !open.contains(&set) {
                steps.push(Step::Begin(set));
            }
        }
    }

    fn any_due(&self, rows: &Rows) -> bool {
        let mut due = self
            .all_keys()
            .flat_map(|key| [Row::Due(key, 0), Row::Due(key, 1)]);
        due.any(|row| rows.get(row) > 0)
    }

    fn others(&self, world: &World, slot: usize) -> Others {
        let mut others = Others {
            locked: RowSet::default(),
            due: [[0; 2]; KEYS],
            kept: RowSet::default(),
            sides: [[false; 2]; KEYS],
        };
        for (other, transaction) in world.open.iter().enumerate() {
            if let (Some(transaction), true) = (transaction, other != slot) {
                let session = &transaction.session;
                others.locked.add_all(session.locked);
                others.kept.add_all(session.kept);
                for key in self.all_keys() {
                    for side in [Side::Waiting, Side::Freeing] {
                        let (key_at, side_at) = (key as usize, side as usize);
                        others.sides[key_at][side_at] |= session.holds(key, side);
                        others.due[key_at][side_at] += session.due_mine[key_at][side_at];
                    }
                }
            }
        }
        others
    }

    /// Whom a transaction waits for, by slot.
    fn blockers(&self, world: &World, slot: usize) -> Vec<usize> {
        let wanted = world.open[slot].and_then(|t| self.wanted(&t));
        let Some(wanted) = wanted else {
            return Vec::new();
        };
        let others = world
            .open
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != slot);
        let holds = others.filter(|(_, other)| {
            other.is_some_and(|t| match wanted {
                Wanted::Row(row) => t.session.locked.has(row),
                Wanted::Side(key, side) => t.session.holds(key, side.other()),
            })
        });
        holds.map(|(other, _)| other).collect()
    }

    /// Some transactions wait for each other.
    fn deadlock(&self, world: &World) -> bool {
        let mut stuck: Vec<usize> = (0..OPEN)
            .filter(|&slot| world.open[slot].is_some())
            .collect();
        loop {
            let waits = |slot: &usize| {
                self.blockers(world, *slot)
                    .iter()
                    .any(|by| stuck.contains(by))
            };
            let still: Vec<usize> = stuck.iter().copied().filter(waits).collect();
            if still.len() == stuck.len() {
                return !stuck.is_empty();
            }
            stuck = still;
        }
    }

    fn go(&self, last: &World, slot: usize) -> Option<World> {
        let mut world = *last;
        let mut transaction = last.open[slot]?;
        if !self.blockers(last, slot).is_empty() {
            return None;
        }
        if transaction.at != At::Commit {
            let others = self.others(last, slot);
            world.overfull |= self.statement(&mut transaction, &last.committed, &others);
            world.open[slot] = Some(transaction);
            return Some(world);
        }
        let written = transaction.session.commit(&mut world.committed);
        world.open[slot] = None;
        for other in world.open.iter_mut().flatten() {
            other.session.forget_due(&transaction.session.due_deleted);
            if other.snapshot.is_some() {
                other.moved.add_all(written);
            }
        }
        if let Program::Set { nth } = transaction.program {
            world.sets_done |= 1 << nth;
        }
        Some(world)
    }

    fn holders(&self, rows: &Rows, key: u8) -> usize {
        slots_of(key).filter(|row| rows.get(*row) > FREE).count()
    }

    fn there_are(&self, rows: &Rows, key: u8) -> usize {
        slots_of(key).filter(|row| rows.get(*row) != ABSENT).count()
    }

    /// S1: no more tasks are ready than there are slots.
    fn never_too_many(&self, world: &World) -> bool {
        let rows = &world.committed;
        self.all_keys().all(|key| {
            let ready = |task: &u8| {
                rows.get(Row::Task(*task)) == READY && self.keys_of(*task) & 1 << key != 0
            };
            self.all_tasks().filter(ready).count() <= self.there_are(rows, key)
        })
    }

    /// S2: who is ready holds a slot of each of its keys, and nobody else holds any.
    fn held_by_who_is_ready(&self, world: &World) -> bool {
        let rows = &world.committed;
        self.all_tasks().all(|task| {
            let ready = rows.get(Row::Task(task)) == READY;
            self.all_keys().all(|key| {
                let holds = slots_of(key)
                    .filter(|row| rows.get(*row) == held_by(task))
                    .count();
                holds == usize::from(ready && self.keys_of(task) & 1 << key != 0)
            })
        })
    }

    /// What a key says of its slots is so.
    fn counts_agree(&self, world: &World) -> bool {
        let rows = &world.committed;
        self.all_keys()
            .all(|key| slots(rows.get(Row::Key(key))) as usize == self.there_are(rows, key))
    }

    fn at_rest(&self, world: &World) -> bool {
        world.open.iter().all(Option::is_none)
    }

    /// With nothing under way and nothing due, no slot is free while somebody waits for it, and no key has fewer than it should.
    fn nobody_is_forgotten(&self, world: &World) -> bool {
        let rows = &world.committed;
        if !self.at_rest(world) || self.any_due(rows) {
            return true;
        }
        self.all_keys().all(|key| {
            let free = slots_of(key).any(|row| rows.get(row) == FREE);
            let waits = |task| rows.get(Row::Task(task)) == in_line(key);
            let enough = self.there_are(rows, key) >= capacity(rows.get(Row::Key(key))) as usize;
            enough && !(free && self.all_tasks().any(waits))
        })
    }

    /// With nothing under way, a few looks at what is due leave nothing due.
    fn settles(&self, world: &World) -> bool {
        if !self.at_rest(world) {
            return true;
        }
        let mut world = *world;
        for _ in 0..4 {
            if !self.any_due(&world.committed) {
                return true;
            }
            world.open[0] = Some(self.begin(Program::TakeUp));
            while world.open[0].is_some() {
                let Some(next) = self.go(&world, 0) else {
                    return false;
                };
                world = next;
            }
        }
        false
    }
}

impl Model for Slots {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut rows = Rows::EMPTY;
        for key in self.all_keys() {
            let capacity = self.capacities[key as usize];
            rows.set(Row::Key(key), key_row(capacity, capacity));
            for slot in 0..capacity {
                rows.set(Row::Slot(key, slot), FREE);
            }
        }
        for task in 0..self.there {
            let needs = |key: &u8| self.keys_of(task) & 1 << key != 0;
            let keys: Vec<u8> = self.all_keys().filter(needs).collect();
            let free: Vec<Option<Row>> = keys
                .iter()
                .map(|key| slots_of(*key).find(|row| rows.get(*row) == FREE))
                .collect();
            match free.iter().position(Option::is_none) {
                Some(full) => rows.set(Row::Task(task), in_line(keys[full])),
                None => {
                    rows.set(Row::Task(task), READY);
                    for row in free.into_iter().flatten() {
                        rows.set(row, held_by(task));
                    }
                }
            }
        }
        vec![World {
            committed: rows,
            open: [None; OPEN],
            sets_done: 0,
            overfull: false,
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
        if open < self.open {
            self.begins(world, steps);
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = *last;
        match step {
            Step::Begin(program) => {
                let free = world.open.iter().position(Option::is_none)?;
                world.open[free] = Some(self.begin(program));
            }
            Step::Snapshot(slot) => world.open[slot].as_mut()?.snapshot = Some(last.committed),
            Step::Go(slot) => world = self.go(last, slot)?,
            Step::Rollback(slot) => {
                self.heard.hear(Verb::Slots, Word::Undone);
                world.open[slot] = None;
            }
        }
        world.open.sort_unstable();
        Some(world)
    }

    /// Rollbacks may leave any number of rows that say the same: two are as good as more.
    fn within_boundary(&self, world: &World) -> bool {
        let mut due = self
            .all_keys()
            .flat_map(|key| [Row::Due(key, 0), Row::Due(key, 1)]);
        due.all(|row| world.committed.get(row) <= 2)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("S1", |model: &Slots, world| model.never_too_many(world)),
            Property::always("S2", |model: &Slots, world| {
                model.held_by_who_is_ready(world)
            }),
            Property::always("count", |model: &Slots, world| model.counts_agree(world)),
            Property::always("drain", |_, world: &World| !world.overfull),
            Property::always("line", |model: &Slots, world| {
                model.nobody_is_forgotten(world)
            }),
            Property::always("due", |model: &Slots, world| model.settles(world)),
            Property::always("V2", |model: &Slots, world| !model.deadlock(world)),
        ]
    }
}

impl Named for Slots {
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
        let rows = &world.committed;
        let tasks = self
            .all_tasks()
            .map(|task| match rows.get(Row::Task(task)) {
                ABSENT => "-".to_owned(),
                READY => "ready".to_owned(),
                ENDED => "ended".to_owned(),
                waits => format!("in line for {}", waits - in_line(0)),
            });
        let keys = self.all_keys().map(|key| {
            let due = [0, 1].map(|side| rows.get(Row::Due(key, side)));
            let there = self.there_are(rows, key);
            let held = self.holders(rows, key);
            format!("key {key}: {held} of {there} held, due {due:?}")
        });
        let all: Vec<String> = tasks.chain(keys).collect();
        format!("committed: {}", all.join(", "))
    }
}
