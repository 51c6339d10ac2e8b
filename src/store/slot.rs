//! Slots: rows held by tasks, or free.

use crate::model::limits;
use crate::model::state::State;
use crate::pg::datum::Instant;
use crate::pg::session::Session;
use crate::pg::table::{self, Changed, Columns, Key as Is, Moment, Strength, Table};
use crate::pg::xact;
use crate::statements;
use crate::store::floors::{self, Line, Scan};
use crate::store::queue;
use crate::store::tables::{Live, Slot, SlotKey};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};

statements! {
    INSERT = "slots_insert.sql",
    FIND = "slot_keys_find.sql",
    USE = "slot_keys_use.sql",
    FREE = "slots_free.sql",
    LOOK = "slot_look.sql",
    KEY_LOCK = "slot_key_lock.sql",
    DRAIN = "slots_drain.sql",
    SET = "slot_set.sql",
    ADD = "slots_add.sql",
    DUE_INSERT = "due_insert.sql",
    DUE = "due_slots.sql",
    DUE_LOCK = "due_lock.sql",
    DUE_DELETE = "due_delete.sql",
}

/// The slots of a new bounded step or run, held by its first items. Its tasks have these priorities (a bit each), in these queues.
pub fn insert(
    session: &Session,
    slot_key: i64,
    capacity: i32,
    holders: Vec<i64>,
    lanes: i32,
    queue_ids: Vec<i32>,
) {
    let args = [
        slot_key.into(),
        capacity.into(),
        holders.into(),
        lanes.into(),
        queue_ids.into(),
    ];
    INSERT.with(|s| drop(s.write(session, &args)));
}

/// The keys of these names, in this order (`None`: there is none), and whether the queue and the priorities are known to each.
pub fn find(
    session: &Session,
    names: Vec<String>,
    queue_id: i32,
    lanes: i32,
) -> Vec<(Option<i64>, bool)> {
    let args = [names.clone().into(), queue_id.into(), lanes.into()];
    let found: Vec<(Option<i64>, bool)> =
        FIND.with(|s| s.write(session, &args).all(|row| (row.get(), row.get())));
    IDS.with_borrow_mut(|ids| {
        if ids.len() > KEYS {
            ids.clear();
        }
        for (name, (slot_key, _)) in names.into_iter().zip(&found) {
            if let Some(slot_key) = slot_key {
                ids.insert(name, *slot_key);
            }
        }
    });
    found
}

/// What the keys of these names were, when this backend last looked: a guess, which is compared.
pub fn known(names: &[String]) -> Option<Vec<i64>> {
    IDS.with_borrow(|ids| names.iter().map(|name| ids.get(name).copied()).collect())
}

/// Whether these are the keys of these names, and know the queue and the priorities (a bit each).
pub fn are_known(
    session: &Session,
    slot_keys: &[i64],
    names: &[String],
    queue_id: i32,
    lanes: i32,
) -> bool {
    let moment = Moment::now();
    let keys = SlotKey::read();
    slot_keys.iter().zip(names).all(|(slot_key, name)| {
        key_row(&keys, &moment, *slot_key).is_some_and(|key| {
            key.get::<Option<String>>(session, SlotKey::name).as_ref() == Some(name)
                && key.get::<i32>(session, SlotKey::lanes) & lanes == lanes
                && key
                    .get::<Vec<i32>>(session, SlotKey::queue_ids)
                    .contains(&queue_id)
        })
    })
}

fn key_row(keys: &Table<SlotKey>, moment: &Moment, slot_key: i64) -> Option<table::Row<SlotKey>> {
    keys.find(moment, "slot_key_pkey", [Is::is(slot_key)])
}

fn key(session: &Session, row: &table::Row<SlotKey>) -> Key {
    let slots: i32 = row.get(session, SlotKey::slots);
    let name: Option<String> = row.get(session, SlotKey::name);
    Key {
        lanes: row.get(session, SlotKey::lanes),
        drains: slots > row.get(session, SlotKey::capacity),
        named: name.is_some(),
    }
}

/// Notes that tasks of this queue and of these priorities (a bit each) use the keys.
pub fn use_keys(session: &Session, slot_keys: Vec<i64>, queue_id: i32, lanes: i32) {
    let args = [slot_keys.into(), queue_id.into(), lanes.into()];
    USE.with(|s| drop(s.write(session, &args)));
}

/// A key as it stands.
#[derive(Clone, Copy)]
pub struct Key {
    /// The priorities of its tasks, a bit each.
    pub lanes: i32,
    /// It has more slots than its capacity.
    pub drains: bool,
    pub named: bool,
}

pub fn read(session: &Session, slot_key: i64) -> Option<Key> {
    let moment = Moment::now();
    key_row(&SlotKey::read(), &moment, slot_key).map(|row| key(session, &row))
}

/// The key of which no slot was taken, by its place among those asked for; whether a free one was seen, that others hold.
pub struct Missing {
    pub key: usize,
    pub seen: bool,
}

/// Takes a free slot of each key for a task: all or none (never of a key that drains: it may have more than it should). Unless `sure`, a
/// guess where free ones begin is good enough. Locks the slots FOR UPDATE, passing by what others hold.
pub fn take(session: &Session, task_id: i64, slot_keys: &[i64], sure: bool) -> Result<(), Missing> {
    let begin = if sure {
        floors::sure_scan
    } else {
        floors::scan
    };
    let free = |slot_key: &i64| {
        begin(Line::Free {
            slot_key: *slot_key,
        })
    };
    let scans: Vec<Scan> = slot_keys.iter().map(free).collect();
    let moment = Moment::now();
    let (keys, slots) = (SlotKey::read(), Slot::write());
    let mut found = Vec::new();
    for (i, (slot_key, scan)) in slot_keys.iter().zip(scans).enumerate() {
        let mut line = free_line(&slots, &moment, *slot_key, &scan);
        let drains = key_row(&keys, &moment, *slot_key).is_none_or(|row| key(session, &row).drains);
        let slot = if drains {
            line.peek(session);
            None
        } else {
            line.next(session)
        };
        scan.end(line.first, table::last_value(c"ready_seq"));
        match slot {
            Some(slot) => found.push(slot),
            None => {
                let seen = line.first.is_some();
                return Err(Missing { key: i, seen });
            }
        }
    }
    for slot in &found {
        hold(&slots, &moment, slot, task_id);
    }
    Ok(())
}

type SlotRow = table::Row<Slot>;

/// The free slots of a key, under way.
struct FreeLine<'t> {
    slots: &'t Table<Slot>,
    moment: &'t Moment,
    scan: table::Scan<'t, Slot>,
    /// The first visible place, locked by others or not.
    first: Option<i64>,
    /// How many are visible up to here.
    seen: usize,
}

fn free_line<'t>(
    slots: &'t Table<Slot>,
    moment: &'t Moment,
    slot_key: i64,
    scan: &Scan,
) -> FreeLine<'t> {
    let keys = [Is::is(slot_key), Is::after(scan.start())];
    FreeLine {
        slots,
        moment,
        scan: slots.scan(moment, "slot_free", keys),
        first: None,
        seen: 0,
    }
}

impl FreeLine<'_> {
    /// The next one that is free still, locked by this transaction now.
    fn next(&mut self, session: &Session) -> Option<SlotRow> {
        while let Some(slot) = self.scan.next() {
            self.seen += 1;
            self.first
                .get_or_insert_with(|| slot.get(session, Slot::free_seq));
            let newest = self.slots.lock(self.moment, slot, Strength::Update, false);
            // Others may have taken it meanwhile, and freed it again.
            let free = |slot: &SlotRow| slot.get::<Option<i64>>(session, Slot::holder).is_none();
            if let Some(slot) = newest.filter(free) {
                return Some(slot);
            }
        }
        None
    }

    /// Whether there is a next one, locked by others or not.
    fn peek(&mut self, session: &Session) -> bool {
        let next = self.scan.next();
        if let Some(slot) = next {
            self.seen += 1;
            self.first
                .get_or_insert_with(|| slot.get(session, Slot::free_seq));
        }
        next.is_some()
    }
}

/// Gives a slot that this transaction has locked to a task.
fn hold(slots: &Table<Slot>, moment: &Moment, slot: &SlotRow, task_id: i64) {
    let mut held = slots.next_version(slot);
    held.set(Slot::holder, task_id)
        .set(Slot::free_seq, None::<i64>);
    let changed = slots.update(moment, slot, held);
    assert!(changed == Changed::Done, "the slot is locked");
}

/// Frees slots of a task.
pub fn free(session: &Session, task_id: i64, slot_keys: Vec<i64>) {
    FREE.with(|s| drop(s.write(session, &[task_id.into(), slot_keys.into()])));
}

/// A key of which slots were freed.
pub struct Released {
    pub slot_key: i64,
    pub key: Key,
    /// Somebody may be in line for it: rather look than not.
    pub waited_for: bool,
}

/// Frees all slots that these tasks hold, of these keys. Locks the slots as UPDATE does; nobody else touches a slot that these tasks hold.
pub fn release(session: &Session, holders: Vec<i64>, slot_keys: Vec<i64>) -> Vec<Released> {
    let known: Vec<i32> = slot_keys.iter().map(|key| known_lanes(*key)).collect();
    let lines = slot_keys.iter().zip(&known);
    let scans: Vec<Scan> = lines
        .map(|(slot_key, lanes)| floors::sure_scan(waiting(*slot_key, top(*lanes))))
        .collect();
    let moment = Moment::now();
    let slots = Slot::write();
    // Each once: a task may have left twice in one call, put off and then called off with its run.
    for holder in BTreeSet::from_iter(holders) {
        let mut held = slots.scan(&moment, "slot_holder", [Is::is(holder)]);
        while let Some(slot) = held.next() {
            let mut free = slots.next_version(slot);
            free.set(Slot::holder, None::<i64>)
                .set(Slot::free_seq, table::next_value(c"ready_seq"));
            let changed = slots.update(&moment, slot, free);
            assert!(changed == Changed::Done, "a held slot is its holder's");
        }
    }
    let (keys, live) = (SlotKey::read(), Live::read());
    let mut released = Vec::new();
    for ((slot_key, lanes), scan) in slot_keys.into_iter().zip(known).zip(scans) {
        let line = [
            Is::is(slot_key),
            Is::is(top(lanes)),
            Is::after(scan.start()),
        ];
        let first: Option<i64> = live
            .find(&moment, WAITING, line)
            .map(|task| task.get(session, Live::ready_seq));
        let over = live.find(&moment, WAITING, [Is::is(-slot_key)]).is_some();
        scan.end(first, table::last_value(c"ready_seq"));
        // (A key that is gone was purged with its run, under a fixed snapshot.)
        if let Some(row) = key_row(&keys, &moment, slot_key) {
            let key = key(session, &row);
            let waited_for =
                first.is_some() || over || key.lanes.count_ones() > 1 || key.lanes != lanes;
            remember(slot_key, key.lanes, waited_for);
            released.push(Released {
                slot_key,
                key,
                waited_for,
            });
        }
    }
    released
}

/// The index of who waits: by key, priority and place.
const WAITING: &str = "task_live_waiting";

fn waiting(slot_key: i64, priority: i16) -> Line {
    Line::Waiting { slot_key, priority }
}

/// A task that was given a slot.
pub struct Given {
    pub task_id: i64,
    /// All keys that it needs: with more than one it is not ready yet.
    pub slot_keys: Vec<i64>,
    pub queue_id: i32,
}

pub struct Filled {
    pub given: Vec<Given>,
    /// There may be more to give: some came over from another line, and the two are served in turn.
    pub in_turn: bool,
    /// A slot is free still (locked by others, perhaps).
    pub free: bool,
    /// Somebody is in this line still (locked by others, perhaps).
    pub waiting: bool,
}

/// Who is served: those who got in line for the key, those who came over from the line of another one, or both in turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Served {
    InTurn = 0,
    OwnLine = 1,
    CameOver = 2,
}

/// Gives free slots to who is in the line of this priority, up to 100: one that needs others, too, is not ready yet. Who came over from another
/// key's line is in a line of its own; who stands before the first of the other one is served first. Locks slots and waiters FOR UPDATE, passing by what
/// others hold.
pub fn fill(session: &Session, slot_key: i64, priority: i16, served: Served) -> Filled {
    let line_scan = floors::sure_scan(waiting(slot_key, priority));
    let free_scan = floors::sure_scan(Line::Free { slot_key });
    let moment = Moment::now();
    let (live, slots) = (Live::write(), Slot::write());
    let place = |task: &table::Row<Live>| task.get::<i64>(session, Live::ready_seq);
    let line = [
        Is::is(slot_key),
        Is::is(priority),
        Is::after(line_scan.start()),
    ];
    let own = live.find(&moment, WAITING, line).map(|task| place(&task));
    let line = [Is::is(-slot_key), Is::is(priority)];
    let over = live.find(&moment, WAITING, line).map(|task| place(&task));
    let mut free = free_line(&slots, &moment, slot_key, &free_scan);
    let mut given = Vec::new();
    let waiting_left;
    if let Some(turn) = Turn::of(slot_key, own, over, served) {
        let keys = [
            Is::is(turn.line),
            Is::is(priority),
            Is::after(turn.first - 1),
        ];
        let mut line = live.scan(&moment, WAITING, keys);
        let mut seen = 0;
        while given.len() < limits::SWEEP as usize
            && let Some(slot) = free.next(session)
        {
            let next = loop {
                let Some(task) = line.next() else { break None };
                seen += 1;
                if place(task) >= turn.before {
                    break None;
                }
                let in_line = |task: &table::Row<Live>| {
                    task.get::<Option<i64>>(session, Live::waits_for) == Some(turn.line)
                        && task.get::<i16>(session, Live::priority) == priority
                };
                let newest = live.lock(&moment, task, Strength::Update, false);
                if let Some(task) = newest.filter(in_line) {
                    break Some(task);
                }
            };
            let Some(task) = next else { break };
            let task_id = task.get(session, Live::task_id);
            hold(&slots, &moment, &slot, task_id);
            let slot_keys: Vec<i64> = task.get(session, Live::slot_keys);
            if slot_keys.len() == 1 {
                wake(&live, &moment, &task);
            }
            given.push(Given {
                task_id,
                slot_keys,
                queue_id: task.get(session, Live::queue_id),
            });
        }
        let other = if turn.line == slot_key { over } else { own };
        waiting_left = other.is_some() || seen > given.len() || line.next().is_some();
    } else {
        waiting_left = own.is_some() || over.is_some();
    }
    let free_left = free.seen > given.len() || free.peek(session);
    let drawn = table::last_value(c"ready_seq");
    line_scan.end(own, drawn);
    free_scan.end(free.first, drawn);
    Filled {
        given,
        in_turn: over.is_some(),
        free: free_left,
        waiting: waiting_left,
    }
}

/// Whose turn it is: those of a line from its first place on, as far as the first one of the other line.
struct Turn {
    line: i64,
    first: i64,
    before: i64,
}

impl Turn {
    fn of(slot_key: i64, own: Option<i64>, over: Option<i64>, served: Served) -> Option<Turn> {
        let own = own.filter(|_| served != Served::CameOver);
        let over = over.filter(|_| served != Served::OwnLine);
        let turn = |line, first, before: Option<i64>| Turn {
            line,
            first,
            before: before.unwrap_or(i64::MAX),
        };
        match (own, over) {
            (own, Some(over)) if own.is_none_or(|own| over < own) => {
                Some(turn(-slot_key, over, own))
            }
            (Some(own), over) => Some(turn(slot_key, own, over)),
            (None, _) => None,
        }
    }
}

/// A task that this transaction has locked has all it needs: it is in line, anew.
fn wake(live: &Table<Live>, moment: &Moment, task: &table::Row<Live>) {
    let mut ready = live.next_version(task);
    ready
        .set(Live::state, State::Ready.code())
        .set(Live::waits_for, None::<i64>)
        .set(Live::ready_seq, table::next_value(c"ready_seq"))
        .set(Live::ready_at, Instant(xact::clock()));
    let changed = live.update(moment, task, ready);
    assert!(changed == Changed::Done, "the task is locked");
}

/// Whether a slot of the key is free, and whether anybody waits for one; `latest`: by what is committed now, whatever the caller's snapshot.
pub fn look(session: &Session, slot_key: i64, latest: bool) -> (bool, bool) {
    let args = [slot_key.into()];
    LOOK.with(|s| {
        let rows = if latest {
            s.read_latest(session, &args)
        } else {
            s.write(session, &args)
        };
        rows.first(|row| (row.get(), row.get()))
    })
    .expect("one row")
}

/// How many slots a key has too many, locked by this transaction; `None`: somebody else adds some, or takes some away.
pub fn try_lock_key(session: &Session, slot_key: i64) -> Option<i32> {
    KEY_LOCK.with(|s| s.write(session, &[slot_key.into()]).first(|row| row.get()))
}

/// Takes free slots away from a locked key; returns how many went.
pub fn drain(session: &Session, slot_key: i64, slots: i32) -> i32 {
    DRAIN
        .with(|s| {
            s.write(session, &[slot_key.into(), i64::from(slots).into()])
                .first(|row| row.get())
        })
        .unwrap_or(0)
}

/// A key with this name and capacity, and how many slots it lacks (less than 0: has too many).
pub fn set(session: &Session, name: &str, capacity: i32) -> (i64, i32) {
    SET.with(|s| {
        s.write(session, &[name.into(), capacity.into()])
            .first(|row| (row.get(), row.get()))
    })
    .expect("one row")
}

pub fn add(session: &Session, slot_key: i64, slots: i32) {
    ADD.with(|s| drop(s.write(session, &[slot_key.into(), slots.into()])));
}

/// Leaves a key that may have a free slot to who looks into the queues that use it. `freed`: by who has freed one, not by who is in line.
pub fn insert_due(session: &Session, slot_key: i64, freed: bool, queue_id: i32) {
    note_left(slot_key, freed);
    let args = [slot_key.into(), freed.into(), queue_id.into()];
    DUE_INSERT.with(|s| drop(s.write(session, &args)));
}

/// (key, whether it was left by who freed a slot, the rows that say so)
pub fn due(session: &Session, queue_id: i32, max: i32) -> Vec<(i64, bool, Vec<i64>)> {
    let after = LOOKED_AT.get();
    let due: Vec<(i64, bool, Vec<i64>)> = DUE.with(|s| {
        s.write(
            session,
            &[queue_id.into(), i64::from(max).into(), after.into()],
        )
        .all(|row| (row.get(), row.get(), row.get()))
    });
    if let Some((slot_key, ..)) = due.last() {
        LOOKED_AT.set(*slot_key);
    }
    due
}

/// Those of the rows that nobody else takes up, or keeps.
pub fn lock_due(session: &Session, due_ids: Vec<i64>) -> Vec<i64> {
    DUE_LOCK.with(|s| s.write(session, &[due_ids.into()]).all(|row| row.get()))
}

pub fn delete_due(session: &Session, due_ids: Vec<i64>) {
    DUE_DELETE.with(|s| drop(s.write(session, &[due_ids.into()])));
}

/// The same, where no task is at hand.
pub fn insert_due_where_used(session: &Session, slot_key: i64) {
    note_left(slot_key, true);
    let args = [slot_key.into(), true.into(), None::<i32>.into()];
    DUE_INSERT.with(|s| drop(s.write(session, &args)));
}

/// Notes that this transaction has left a key: it is itself one of those who are under way, until it ends.
fn note_left(slot_key: i64, freed: bool) {
    LEFT.with_borrow_mut(|(transaction, left)| {
        let now = xact::id();
        if *transaction != now {
            (*transaction, *left) = (now, BTreeSet::new());
        }
        left.insert((slot_key, freed));
    });
}

/// Whether this transaction itself has left the key.
pub fn was_left_here(slot_key: i64, freed: bool) -> bool {
    LEFT.with_borrow(|(transaction, left)| {
        *transaction == xact::id() && left.contains(&(slot_key, freed))
    })
}

/// More keys than this are forgotten rather than remembered.
const KEYS: usize = 4_096;

/// A key as it was last seen: a guess, which is compared, or costs nothing but time.
#[derive(Clone, Copy)]
struct Guess {
    lanes: i32,
    waited_for: bool,
}

thread_local! {
    /// The last key that was looked at because it was left: what cannot be done yet must not hide the rest.
    static LOOKED_AT: Cell<i64> = const { Cell::new(i64::MAX) };
    /// What this transaction has left.
    static LEFT: RefCell<(u64, BTreeSet<(i64, bool)>)> = RefCell::default();
    static IDS: RefCell<HashMap<String, i64>> = RefCell::default();
    static KNOWN: RefCell<HashMap<i64, Guess>> = RefCell::default();
}

fn known_lanes(slot_key: i64) -> i32 {
    KNOWN.with_borrow(|known| known.get(&slot_key).map_or(queue::lane(0), |key| key.lanes))
}

/// Whether somebody was in line for the key the last time that this backend looked.
pub fn was_waited_for(slot_key: i64) -> bool {
    KNOWN.with_borrow(|known| known.get(&slot_key).is_some_and(|key| key.waited_for))
}

fn remember(slot_key: i64, lanes: i32, waited_for: bool) {
    KNOWN.with_borrow_mut(|known| {
        if known.len() > KEYS {
            known.clear();
        }
        known.insert(slot_key, Guess { lanes, waited_for });
    });
}

/// The highest of these priorities.
fn top(lanes: i32) -> i16 {
    queue::priorities(lanes).next().unwrap_or(0)
}
