//! What the transactions do, statement by statement: `src/verbs/slots.rs`.

use super::database::*;
use super::{Fault, Slots};
use crate::words::{Verb, Word};

/// What a transaction is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    /// `task_create`: takes a slot of each key, or gets in line for one.
    Create { task: u8 },
    /// `task_finalize`, or a cancel: the task's slots go on. `guess`: this backend found somebody in line the last time that it looked.
    End { task: u8, guess: bool },
    /// An acquire or a reap takes up what is due.
    TakeUp,
    /// `slot_set`.
    Set { nth: u8 },
}

/// The statement that comes next, or the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum At {
    Take,
    WaitingSide(u8),
    OwnTask,
    FreeingSide(u8),
    Release,
    ReadKey(u8),
    LockKey(u8),
    Drain(u8),
    Look(u8),
    Fill(u8),
    ReadDue,
    Over(u8, u8),
    LookLatest(u8, u8),
    DeleteDue(u8, u8),
    SetKey,
    Commit,
}

impl At {
    pub fn told(self) -> String {
        match self {
            At::Take => "takes a slot of each key".into(),
            At::WaitingSide(key) => format!("enters the side of who waits for key {key}"),
            At::OwnTask => "locks its task".into(),
            At::FreeingSide(key) => format!("enters the side of who frees key {key}"),
            At::Release => "frees the slots".into(),
            At::ReadKey(key) => format!("reads key {key}"),
            At::LockKey(key) => format!("locks key {key}, which has too many slots"),
            At::Drain(key) => format!("takes free slots away from key {key}"),
            At::Look(key) => format!("looks at key {key}"),
            At::Fill(key) => format!("gives out free slots of key {key}"),
            At::ReadDue => "reads and locks what is due".into(),
            At::Over(key, _) => format!("asks whether others are over at key {key}"),
            At::LookLatest(key, _) => format!("looks at what is left at key {key}"),
            At::DeleteDue(key, _) => format!("deletes what was due at key {key}"),
            At::SetKey => "sets the key".into(),
            At::Commit => "commits".into(),
        }
    }
}

/// Whether it is on a side of a key, and nobody was on the other one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sure {
    #[default]
    Untried,
    Yes,
    No,
}

/// `take`: for whom, of which keys, and which sides it has tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Take {
    task: u8,
    keys: u8,
    sides: [Sure; KEYS],
    /// For a task that was given a slot of this key.
    of: Option<u8>,
}

/// `fill`: who was given one slot and needs another, and what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Filling {
    incomplete: u8,
    again: bool,
    free: bool,
    waiting: bool,
}

impl Filling {
    fn is_open(self) -> bool {
        self.free && self.waiting
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Transaction {
    pub program: Program,
    pub at: At,
    pub snapshot: Option<Rows>,
    /// Rows with a new version since then.
    pub moved: RowSet,
    pub session: Session,
    take: Take,
    filling: Filling,
    sure: [Sure; KEYS],
    /// Keys of which it freed slots, where somebody may wait, or that drain.
    waited_for: u8,
    drains: u8,
    excess: u8,
    /// It takes up what is due; of which keys and sides, a bit each; the one at hand; whether others are over.
    takes_up: bool,
    groups: u8,
    group: u8,
    over: bool,
}

/// What a transaction waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Row(Row),
    Side(u8, Side),
}

/// What a statement sees.
struct View<'a> {
    snapshot: Rows,
    /// What is committed now, which is what a locked row is read from.
    latest: &'a Rows,
    /// Rows that have another version there.
    moved: RowSet,
    others: &'a Others,
}

/// What the others hold.
pub struct Others {
    pub locked: RowSet,
    /// Rows of `baton.due` that they take up, and those that are to stay: FOR KEY SHARE.
    pub due: [[u8; 2]; KEYS],
    pub kept: RowSet,
    /// Per key: somebody holds the side.
    pub sides: [[bool; 2]; KEYS],
}

fn keys(mask: u8) -> impl Iterator<Item = u8> {
    (0..KEYS as u8).filter(move |key| mask & 1 << key != 0)
}

impl Slots {
    pub(super) fn begin(&self, program: Program) -> Transaction {
        let mut transaction = Transaction {
            program,
            at: At::Commit,
            snapshot: None,
            moved: RowSet::default(),
            session: Session::NEW,
            take: Take::default(),
            filling: Filling::default(),
            sure: [Sure::Untried; KEYS],
            waited_for: 0,
            drains: 0,
            excess: 0,
            takes_up: false,
            groups: 0,
            group: 0,
            over: false,
        };
        match program {
            Program::Create { task } => {
                self.begin_take(&mut transaction, task, self.keys_of(task), None)
            }
            Program::End { .. } => transaction.at = At::OwnTask,
            Program::TakeUp => self.begin_to_take_up(&mut transaction),
            Program::Set { .. } => transaction.at = At::SetKey,
        }
        transaction
    }

    /// Whether the statement's snapshot is a step of its own.
    pub(super) fn takes_snapshot(&self, transaction: &Transaction) -> bool {
        matches!(transaction.at, At::Take | At::Fill(_) | At::Drain(_)) && self.every_snapshot
    }

    /// What the statement waits for: nothing of what is here, but for a task's own row, and for the key in `slot_set`.
    pub(super) fn wanted(&self, transaction: &Transaction) -> Option<Wanted> {
        match (transaction.at, transaction.program) {
            (At::OwnTask, Program::End { task, .. }) => Some(Wanted::Row(Row::Task(task))),
            (At::SetKey, Program::Set { nth }) => {
                Some(Wanted::Row(Row::Key(self.sets[nth as usize].0)))
            }
            (At::Drain(key), _) => Some(Wanted::Row(Row::Key(key))),
            (At::WaitingSide(key), _) if self.has(Fault::SideAwaited) => {
                Some(Wanted::Side(key, Side::Waiting))
            }
            (At::FreeingSide(key), _) if self.has(Fault::SideAwaited) => {
                Some(Wanted::Side(key, Side::Freeing))
            }
            _ => None,
        }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn hear(&self, word: Word) {
        self.heard.hear(Verb::Slots, word);
    }

    /// Carries out the statement. `latest`: what is committed now, which is what a locked row is read from. Returns whether a slot was taken of a key
    /// that has no more to give.
    pub(super) fn statement(&self, t: &mut Transaction, latest: &Rows, others: &Others) -> bool {
        let view = &View {
            snapshot: t.snapshot.take().unwrap_or(*latest),
            latest,
            moved: std::mem::take(&mut t.moved),
            others,
        };
        let snapshot = &view.snapshot;
        let mut overfull = false;
        match t.at {
            At::Commit => unreachable!("the caller commits"),
            At::Take => overfull = self.take(t, view),
            At::WaitingSide(key) => {
                let sure = self.enter_side(t, key, Side::Waiting, others);
                t.take.sides[key as usize] = sure;
                if self.has(Fault::WaiterDoesNotLookAgain) {
                    self.get_in_line(t, key, false, view);
                } else {
                    t.at = At::Take;
                }
            }
            At::OwnTask => {
                let Program::End { task, guess } = t.program else {
                    unreachable!("only who ends a task has one")
                };
                t.session.locked.add(Row::Task(task));
                let found = latest.get(Row::Task(task));
                t.at = At::Commit;
                if found != ENDED {
                    t.session.write(Row::Task(task), ENDED);
                }
                if found == READY {
                    let first = keys(self.keys_of(task)).next().expect("it needs a slot");
                    t.at = if guess {
                        At::Release
                    } else {
                        At::FreeingSide(first)
                    };
                } else if found != ENDED {
                    self.hear(Word::Cancelled);
                }
            }
            At::FreeingSide(key) => {
                let sure = self.enter_side(t, key, Side::Freeing, others);
                t.sure[key as usize] = sure;
                match t.program {
                    Program::End { guess: true, .. } if self.has(Fault::FreerDoesNotLookAgain) => {
                        self.after_fill(t, key, view)
                    }
                    Program::End { guess: true, .. } | Program::Set { .. } => {
                        t.filling = Filling::default();
                        t.at = At::ReadKey(key);
                    }
                    Program::End { task, .. } => {
                        let next = keys(self.keys_of(task)).find(|next| *next > key);
                        t.at = next.map_or(At::Release, At::FreeingSide);
                    }
                    _ => unreachable!("nobody else frees slots"),
                }
            }
            At::Release => {
                let Program::End { task, .. } = t.program else {
                    unreachable!("only who ends a task frees its slots")
                };
                self.free_slots_of(t, task, latest);
                for key in keys(self.keys_of(task)) {
                    let in_line =
                        |other: u8| t.session.read(snapshot, Row::Task(other)) == in_line(key);
                    if (0..TASKS as u8).any(in_line) {
                        t.waited_for |= 1 << key;
                    }
                    let row = t.session.read(snapshot, Row::Key(key));
                    if slots(row) > capacity(row) {
                        t.drains |= 1 << key;
                    }
                }
                self.release_from(t, 0, view);
            }
            At::ReadKey(key) => {
                let row = t.session.read(snapshot, Row::Key(key));
                t.at = if slots(row) > capacity(row) {
                    At::LockKey(key)
                } else {
                    At::Fill(key)
                };
            }
            At::LockKey(key) => {
                let row = Row::Key(key);
                let unlocked = self.has(Fault::DrainUnlocked);
                if others.locked.has(row) && !unlocked {
                    self.hear(Word::Unknown);
                    t.at = At::Look(key);
                } else {
                    if !unlocked {
                        t.session.locked.add(row);
                    }
                    let row = t.session.read(latest, row);
                    t.excess = slots(row).saturating_sub(capacity(row));
                    t.at = if t.excess == 0 {
                        At::Fill(key)
                    } else {
                        At::Drain(key)
                    };
                }
            }
            At::Drain(key) => {
                let mut gone = 0;
                for row in slots_of(key) {
                    if gone < t.excess && self.lock_free(t, row, view) == Lock::Held {
                        t.session.write(row, ABSENT);
                        gone += 1;
                    }
                }
                let row = t.session.read(latest, Row::Key(key));
                let left = slots(row).saturating_sub(gone);
                t.session.write(Row::Key(key), key_row(capacity(row), left));
                self.hear(if gone > 0 { Word::Drained } else { Word::Full });
                t.at = if gone == t.excess {
                    At::Fill(key)
                } else {
                    At::Look(key)
                };
            }
            At::Look(key) => {
                (t.filling.free, t.filling.waiting) = self.look(t, key, snapshot);
                self.after_fill(t, key, view);
            }
            At::Fill(key) => self.fill(t, key, view),
            At::ReadDue => {
                for group in 0..KEYS as u8 * 2 {
                    let (key, side) = (group / 2, group % 2);
                    let own = t.session.due_of(key, Side::of(side)).0;
                    let seen = own + latest.get(Row::Due(key, side));
                    if seen == 0 {
                        continue;
                    }
                    t.groups |= 1 << group;
                    let rows = self.lockable_due(key, side, view);
                    let (key, side) = (key as usize, side as usize);
                    if self.has(Fault::DueNotLocked) {
                        t.session.due_seen[key][side] = seen;
                    } else {
                        t.session.due_mine[key][side] = rows;
                    }
                }
                t.at = self.take_up_from(t, 0);
            }
            At::Over(key, side) => {
                let group = key * 2 + side;
                let other = Side::of(side).other();
                let over = !others.sides[key as usize][other as usize];
                if !over {
                    self.hear(Word::Held);
                }
                // What it has left itself is not over before it is.
                let own = t.session.has_left(key, Side::of(side)) && !self.deletes_late();
                t.over = over && !own || self.has(Fault::DueDeletedAtOnce);
                if self.deletes_late() {
                    self.fill_group(t, group);
                } else {
                    if t.over {
                        t.session.delete_due(key, side);
                        self.hear(Word::TakenUp);
                    }
                    t.at = match self.next_due(t, group + 1) {
                        Some(next) => At::Over(next / 2, next % 2),
                        None => self.fill_from(t, 0),
                    };
                }
            }
            At::LookLatest(key, side) => {
                let group = key * 2 + side;
                let open = self.look(t, key, latest) == (true, true);
                t.at = if !self.deletes_late() {
                    if open {
                        self.leave_due(t, key, Side::of(side), view);
                    }
                    self.fill_from(t, group + 1)
                } else if open || !t.over {
                    self.take_up_from(t, group + 1)
                } else {
                    At::DeleteDue(key, side)
                };
            }
            At::DeleteDue(key, side) => {
                if self.has(Fault::DueNotLocked) {
                    let seen = t.session.due_seen[key as usize][side as usize];
                    let rows = self.lockable_due(key, side, view).min(seen);
                    t.session.due_mine[key as usize][side as usize] = rows;
                }
                t.session.delete_due(key, side);
                t.at = self.take_up_from(t, key * 2 + side + 1);
            }
            At::SetKey => {
                let Program::Set { nth } = t.program else {
                    unreachable!("only slot_set sets a key")
                };
                let (key, wanted) = self.sets[nth as usize];
                let mut has = slots(t.session.read(latest, Row::Key(key)));
                // Nobody else adds slots, or takes some away: its row is locked.
                for row in slots_of(key) {
                    if has < wanted && latest.get(row) == ABSENT {
                        t.session.write(row, FREE);
                        has += 1;
                    }
                }
                t.session.write(Row::Key(key), key_row(wanted, has));
                t.at = if self.has(Fault::RaiseWakesNobody) {
                    At::Commit
                } else {
                    At::FreeingSide(key)
                };
            }
        }
        overfull
    }

    fn enter_side(&self, t: &mut Transaction, key: u8, side: Side, others: &Others) -> Sure {
        let taken_by = |side: Side| match side {
            Side::Waiting => !self.has(Fault::NoSides) && !self.has(Fault::OnlyWhoFreesIsSeen),
            Side::Freeing => !self.has(Fault::NoSides) && !self.has(Fault::OnlyWhoWaitsIsSeen),
        };
        if !taken_by(side) {
            return Sure::Yes;
        }
        t.session.hold(key, side);
        if others.sides[key as usize][side.other() as usize] {
            self.hear(Word::Unsure);
            return Sure::No;
        }
        Sure::Yes
    }

    /// Rows of `baton.due` that nobody else takes up, or keeps.
    fn lockable_due(&self, key: u8, side: u8, view: &View) -> u8 {
        let row = Row::Due(key, side);
        if view.others.kept.has(row) {
            return 0;
        }
        view.latest.get(row) - view.others.due[key as usize][side as usize]
    }

    /// due_insert.sql: a row that is there already is kept, unless somebody else is taking it up.
    fn leave_due(&self, t: &mut Transaction, key: u8, side: Side, view: &View) {
        if self.has(Fault::DueForgotten) {
            return;
        }
        let row = Row::Due(key, side as u8);
        let (inserted, deleted) = t.session.due_of(key, side);
        t.session.has_left_due(key, side);
        if inserted > 0 {
            return;
        }
        let of_others = view.others.due[key as usize][side as usize];
        if view.latest.get(row) > deleted + of_others {
            t.session.kept.add(row);
            self.hear(Word::Kept);
        } else {
            t.session.leave_due(key, side);
            self.hear(Word::LeftDue);
        }
    }

    // Taking.

    fn begin_take(&self, t: &mut Transaction, task: u8, keys: u8, of: Option<u8>) {
        t.take = Take {
            task,
            keys,
            sides: [Sure::Untried; KEYS],
            of,
        };
        t.at = At::Take;
    }

    /// Locks a slot that the snapshot shows free, if nobody else has: `take` and `fill` of the store, SKIP LOCKED.
    fn lock_free(&self, t: &mut Transaction, row: Row, view: &View) -> Lock {
        if t.session.read(&view.snapshot, row) != FREE || view.others.locked.has(row) {
            return Lock::Not;
        }
        t.session.locked.add(row);
        if t.session.has_written(row) || !view.moved.has(row) {
            Lock::Held
        } else if view.latest.get(row) == FREE && self.has(Fault::FreedAnew) {
            // It is another version than the one that is looked for then.
            Lock::Anew
        } else {
            Lock::Not
        }
    }

    fn take(&self, t: &mut Transaction, view: &View) -> bool {
        let snapshot = &view.snapshot;
        let task = t.take.task;
        let (mut found, mut anew, mut missing) = (Vec::new(), 0, None);
        let mut overfull = false;
        for key in keys(t.take.keys) {
            let row = t.session.read(snapshot, Row::Key(key));
            let drains = slots(row) > capacity(row) && !self.has(Fault::TakenWhileDraining);
            let held = |row: &Row| t.session.read(snapshot, *row) > FREE;
            let full = slots_of(key).filter(held).count() as u8 >= capacity(row);
            let seen = slots_of(key).any(|row| t.session.read(snapshot, row) == FREE);
            let mut lock = Lock::Not;
            for row in slots_of(key) {
                if drains || lock != Lock::Not {
                    break;
                }
                lock = self.lock_free(t, row, view);
                if lock == Lock::Held {
                    found.push(row);
                }
            }
            match lock {
                Lock::Not if missing.is_none() => missing = Some((key, seen)),
                Lock::Anew => anew += 1,
                _ => {}
            }
            overfull |= lock != Lock::Not && full;
        }
        let all = found.len() + anew == keys(t.take.keys).count();
        if all || self.has(Fault::NotAllOrNone) {
            for row in found {
                t.session.write(row, held_by(task));
            }
        }
        let Some((key, seen)) = missing else {
            t.session.write(Row::Task(task), READY);
            match t.take.of {
                Some(of) => {
                    self.hear(Word::Given);
                    self.go_on_filling(t, of, view)
                }
                None => {
                    self.hear(Word::Taken);
                    t.at = At::Commit
                }
            }
            return overfull;
        };
        match t.take.sides[key as usize] {
            Sure::Untried => t.at = At::WaitingSide(key),
            _ => self.get_in_line(t, key, seen, view),
        }
        false
    }

    /// The task gets in line for the key, of which it found no slot; `seen`: but one that others have locked.
    fn get_in_line(&self, t: &mut Transaction, key: u8, seen: bool, view: &View) {
        let task = t.take.task;
        let sure = t.take.sides[key as usize] == Sure::Yes;
        if !sure || seen && !self.has(Fault::LockedSlotIgnored) {
            self.leave_due(t, key, Side::Waiting, view);
        }
        t.session.write(Row::Task(task), in_line(key));
        match t.take.of {
            Some(of) => {
                self.hear(Word::Moved);
                // It lets go of the one that it was given, which goes to the next.
                for row in slots_of(of) {
                    if t.session.has_written(row)
                        && t.session.read(&Rows::EMPTY, row) == held_by(task)
                    {
                        t.session.write(row, FREE);
                    }
                }
                t.filling.again = !self.has(Fault::NextNotAsked);
                self.go_on_filling(t, of, view);
            }
            None => {
                self.hear(Word::Waiting);
                t.at = At::Commit;
            }
        }
    }

    // Freeing.

    fn free_slots_of(&self, t: &mut Transaction, task: u8, latest: &Rows) {
        for key in 0..KEYS as u8 {
            for row in slots_of(key) {
                if t.session.read(latest, row) == held_by(task) {
                    t.session.write(row, FREE);
                }
            }
        }
    }

    /// Goes on with the first key from this one on of which a slot was freed.
    fn release_from(&self, t: &mut Transaction, from: u8, view: &View) {
        let Program::End { task, .. } = t.program else {
            unreachable!("only who ends a task frees its slots")
        };
        let Some(key) = keys(self.keys_of(task)).find(|key| *key >= from) else {
            self.ended(t);
            return;
        };
        t.filling = Filling::default();
        if t.drains & 1 << key != 0 {
            t.at = At::LockKey(key);
        } else if t.waited_for & 1 << key != 0 {
            t.at = At::Fill(key);
        } else {
            t.filling.free = true;
            self.after_fill(t, key, view);
        }
    }

    fn look(&self, t: &Transaction, key: u8, snapshot: &Rows) -> (bool, bool) {
        let free = slots_of(key).any(|row| t.session.read(snapshot, row) == FREE);
        let waits = |task: u8| t.session.read(snapshot, Row::Task(task)) == in_line(key);
        (free, (0..TASKS as u8).any(waits))
    }

    fn fill(&self, t: &mut Transaction, key: u8, view: &View) {
        let View {
            snapshot,
            latest,
            others,
            ..
        } = view;
        let free_seen = slots_of(key)
            .filter(|row| t.session.read(snapshot, *row) == FREE)
            .count();
        let waits = |task: &u8| t.session.read(snapshot, Row::Task(*task)) == in_line(key);
        let line: Vec<u8> = (0..TASKS as u8).filter(waits).collect();
        let mut free = Vec::new();
        if !line.is_empty() {
            for row in slots_of(key) {
                let lock = self.lock_free(t, row, view);
                if lock != Lock::Not {
                    free.push((row, lock));
                }
            }
        }
        let mut picked = Vec::new();
        for task in &line {
            let row = Row::Task(*task);
            if picked.len() < free.len() && !others.locked.has(row) {
                t.session.locked.add(row);
                if t.session.read(latest, row) == in_line(key) {
                    picked.push(*task);
                }
            }
        }
        for (task, (row, lock)) in picked.iter().zip(&free) {
            if *lock == Lock::Held {
                t.session.write(*row, held_by(*task));
            }
            if self.keys_of(*task).count_ones() == 1 {
                t.session.write(Row::Task(*task), READY);
                self.hear(Word::Given);
            } else {
                t.filling.incomplete |= 1 << task;
            }
        }
        t.filling.free = free_seen > picked.len();
        t.filling.waiting = line.len() > picked.len();
        self.go_on_filling(t, key, view);
    }

    /// `complete` for the next one who needs another slot; then the next look, or what follows.
    fn go_on_filling(&self, t: &mut Transaction, key: u8, view: &View) {
        if t.filling.incomplete != 0 {
            let task = t.filling.incomplete.trailing_zeros() as u8;
            t.filling.incomplete &= !(1 << task);
            self.begin_take(t, task, self.keys_of(task) & !(1 << key), Some(key));
        } else if std::mem::take(&mut t.filling.again) {
            t.at = At::Fill(key);
        } else {
            self.after_fill(t, key, view);
        }
    }

    fn after_fill(&self, t: &mut Transaction, key: u8, view: &View) {
        t.take = Take::default();
        let Filling { free, .. } = t.filling;
        let sure = t.sure[key as usize];
        match t.program {
            _ if t.takes_up => t.at = At::LookLatest(key, t.group % 2),
            Program::End { .. } if free && sure == Sure::Untried => {
                self.hear(Word::Late);
                t.at = At::FreeingSide(key);
            }
            Program::End { .. } | Program::Set { .. } => {
                let open = t.filling.is_open() && !self.has(Fault::OpenForgotten);
                if open || free && sure != Sure::Yes {
                    self.leave_due(t, key, Side::Freeing, view);
                }
                match t.program {
                    Program::End { .. } => self.release_from(t, key + 1, view),
                    _ => t.at = At::Commit,
                }
            }
            Program::TakeUp => unreachable!("it takes up"),
            Program::Create { .. } => unreachable!("who creates a task gives out nothing"),
        }
        t.filling = Filling::default();
        t.excess = 0;
    }

    // Taking up.

    fn begin_to_take_up(&self, t: &mut Transaction) {
        t.takes_up = true;
        t.at = At::ReadDue;
    }

    /// Who has ended a task may look for the next one in the same transaction.
    fn ended(&self, t: &mut Transaction) {
        if self.acquires {
            t.sure = [Sure::Untried; KEYS];
            (t.waited_for, t.drains) = (0, 0);
            self.begin_to_take_up(t);
        } else {
            t.at = At::Commit;
        }
    }

    /// What is due is deleted only after what was free is given out, and looked at.
    fn deletes_late(&self) -> bool {
        self.has(Fault::DueNotLocked)
    }

    /// The first key and side from here on of which something is due.
    fn next_due(&self, t: &Transaction, from: u8) -> Option<u8> {
        (from..KEYS as u8 * 2).find(|group| t.groups & 1 << group != 0)
    }

    fn take_up_from(&self, t: &mut Transaction, from: u8) -> At {
        t.over = false;
        let next = self.next_due(t, from);
        next.map_or(At::Commit, |next| At::Over(next / 2, next % 2))
    }

    fn fill_from(&self, t: &mut Transaction, from: u8) -> At {
        t.over = false;
        t.group = 0;
        match self.next_due(t, from) {
            Some(group) => self.fill_group(t, group),
            None => t.at = At::Commit,
        }
        t.at
    }

    fn fill_group(&self, t: &mut Transaction, group: u8) {
        t.group = group;
        t.filling = Filling::default();
        t.at = At::ReadKey(group / 2);
    }

    pub(super) fn program_told(&self, program: Program) -> String {
        match program {
            Program::Create { task } => format!("create of task {task}"),
            Program::End { task, guess } => {
                let guess = if guess {
                    ", whose backend knows of a line"
                } else {
                    ""
                };
                format!("end of task {task}{guess}")
            }
            Program::TakeUp => "acquire at what is due".to_owned(),
            Program::Set { nth } => {
                let (key, capacity) = self.sets[nth as usize];
                format!("slot_set of key {key} to {capacity}")
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    Not,
    Held,
    /// Locked, but in a version that is not the one that was seen.
    Anew,
}
