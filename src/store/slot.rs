//! Slots: rows held by tasks, or free.

use crate::pg::session::Session;
use crate::pg::xact;
use crate::statements;
use crate::store::floors::{self, Line, Scan};
use crate::store::queue;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};

statements! {
    INSERT = "slots_insert.sql",
    FIND = "slot_keys_find.sql",
    USE = "slot_keys_use.sql",
    READ = "slot_key_read.sql",
    TAKE = "slot_take.sql",
    RELEASE = "slots_release.sql",
    FREE = "slots_free.sql",
    FILL = "slot_fill.sql",
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

/// A scan of the free slots of a key, where a guess is good enough.
pub fn free_scan(slot_key: i64) -> Scan {
    floors::scan(Line::Free { slot_key })
}

/// What the keys of these names were, when this backend last looked: a guess, which is compared.
pub fn known(names: &[String]) -> Option<Vec<i64>> {
    IDS.with_borrow(|ids| names.iter().map(|name| ids.get(name).copied()).collect())
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
    READ.with(|s| {
        s.write(session, &[slot_key.into()]).first(|row| Key {
            lanes: row.get(),
            drains: row.get(),
            named: row.get(),
        })
    })
}

/// The key of which no slot was taken, by its place among those asked for; whether a free one was seen, that others hold.
pub struct Missing {
    pub key: usize,
    pub seen: bool,
}

/// Takes a free slot of each key for a task: all or none. Unless `sure`, a guess where free ones begin is good enough.
pub fn take(session: &Session, task_id: i64, slot_keys: &[i64], sure: bool) -> Result<(), Missing> {
    let scans: Vec<Scan> = slot_keys
        .iter()
        .map(|slot_key| {
            let line = Line::Free {
                slot_key: *slot_key,
            };
            if sure {
                floors::sure_scan(line)
            } else {
                floors::scan(line)
            }
        })
        .collect();
    let floors: Vec<i64> = scans.iter().map(Scan::start).collect();
    let args = [task_id.into(), slot_keys.to_vec().into(), floors.into()];
    let found: Vec<(Option<i64>, i64, bool, bool)> = TAKE.with(|s| {
        s.write(session, &args)
            .all(|row| (row.get(), row.get(), row.get(), row.get()))
    });
    let all = found.iter().all(|(_, _, found, _)| *found);
    let some = found.iter().any(|(_, _, _, taken)| *taken);
    let mut missing = None;
    for (key, (scan, (first, drawn, found, taken))) in scans.into_iter().zip(found).enumerate() {
        scan.end(first, drawn);
        // (All were found, and others took and freed one again meanwhile: that one is missing.)
        let missed = if all { !taken } else { !found };
        if missed && missing.is_none() {
            let seen = first.is_some();
            missing = Some(Missing { key, seen });
        }
    }
    if missing.is_some() && some {
        free(session, task_id, slot_keys.to_vec());
    }
    missing.map_or(Ok(()), Err)
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

/// Frees all slots that these tasks hold, of these keys.
pub fn release(session: &Session, holders: Vec<i64>, slot_keys: Vec<i64>) -> Vec<Released> {
    let lanes: Vec<i32> = slot_keys.iter().map(|key| known_lanes(*key)).collect();
    let priorities: Vec<i16> = lanes.iter().map(|lanes| top(*lanes)).collect();
    let lines = slot_keys.iter().zip(&priorities);
    let scans: Vec<Scan> = lines
        .map(|(slot_key, priority)| floors::sure_scan(waiting(*slot_key, *priority)))
        .collect();
    let floors: Vec<i64> = scans.iter().map(Scan::start).collect();
    let args = [
        holders.into(),
        slot_keys.clone().into(),
        priorities.into(),
        floors.into(),
    ];
    type Seen = (Option<i64>, bool, i64, Option<i32>, Option<bool>, bool);
    let seen: Vec<Seen> = RELEASE.with(|s| {
        s.write(session, &args).all(|row| {
            (
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
            )
        })
    });
    let mut released = Vec::new();
    for (i, (scan, (first, over, drawn, now, drains, named))) in
        scans.into_iter().zip(seen).enumerate()
    {
        scan.end(first, drawn);
        // (A key that is gone was purged with its run, under a fixed snapshot.)
        if let (Some(now), Some(drains)) = (now, drains) {
            let waited_for = first.is_some() || over || now.count_ones() > 1 || now != lanes[i];
            remember(slot_keys[i], now, waited_for);
            released.push(Released {
                slot_key: slot_keys[i],
                key: Key {
                    lanes: now,
                    drains,
                    named,
                },
                waited_for,
            });
        }
    }
    released
}

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
    /// What was to be given had been taken by others meanwhile: there may be more.
    pub missed: bool,
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

/// Gives free slots to who is in this line, up to 100.
pub fn fill(session: &Session, slot_key: i64, priority: i16, served: Served) -> Filled {
    let line = floors::sure_scan(waiting(slot_key, priority));
    let free = floors::sure_scan(Line::Free { slot_key });
    let args = [
        slot_key.into(),
        priority.into(),
        line.start().into(),
        free.start().into(),
        (served as i32).into(),
    ];
    let (mut first, mut over, mut missed) = (None, false, false);
    let (mut first_free, mut drawn) = (None, i64::MIN);
    let (mut free_left, mut waiting_left) = (false, false);
    let given = FILL.with(|s| {
        s.write(session, &args).all(|row| {
            (first, over, missed) = (row.get(), row.get(), row.get());
            (first_free, drawn) = (row.get(), row.get());
            (free_left, waiting_left) = (row.get(), row.get());
            row.get::<Option<i64>>().map(|task_id| Given {
                task_id,
                slot_keys: row.get(),
                queue_id: row.get(),
            })
        })
    });
    line.end(first, drawn);
    free.end(first_free, drawn);
    Filled {
        given: given.into_iter().flatten().collect(),
        in_turn: over,
        missed,
        free: free_left,
        waiting: waiting_left,
    }
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
