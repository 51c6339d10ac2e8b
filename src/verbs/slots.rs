//! Slots: taken all or none, given back, and handed to the next in line, without ever waiting for a key.
//!
//! Who frees a slot and who gets in line must see each other, or a slot stays free while somebody waits for it. Each takes a lock at the
//! key by which he is seen on his side until his transaction ends (`pg::lock::SlotSide`), and then looks whether anybody is on the other one. If nobody is, what he sees
//! is all that there is; else he leaves a row in `baton.due`, and whoever takes that up looks once those who were on the other side are over. See docs/locking.md.

use crate::model::limits;
use crate::pg::error::Misuse;
use crate::pg::lock::{self, SlotSide};
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::lease::{self, Holder};
use crate::store::queue;
use crate::store::slot::{self, Given, Key, Served};
use crate::verbs::args::Checked;
use std::collections::BTreeMap;

/// A task that needs its slots no longer.
pub struct Leaving {
    pub task_id: i64,
    pub queue_id: i32,
    pub slot_keys: Vec<i64>,
}

/// Tasks that are blocked, as their statement returns them.
pub fn leaving(blocked: Vec<Holder>) -> Vec<Leaving> {
    blocked
        .into_iter()
        .map(|(task_id, queue_id, slot_keys)| Leaving {
            task_id,
            queue_id,
            slot_keys,
        })
        .collect()
}

/// What came of slots that were freed.
#[derive(Default)]
pub struct Freed {
    /// The tasks made ready.
    pub ready: Vec<i64>,
    /// Keys of steps and runs that may have a free slot, and nobody in line.
    pub dry: Vec<i64>,
}

/// The keys of these names, for tasks of this queue and of these priorities (a bit each); 42704 if one is missing.
pub fn named(session: &Session, names: &[String], queue_id: i32, lanes: i32) -> Checked<Vec<i64>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let found = slot::find(session, names.to_vec(), queue_id, lanes);
    let mut slot_keys = Vec::new();
    for (name, (slot_key, _)) in names.iter().zip(&found) {
        slot_keys.push(slot_key.ok_or_else(|| Misuse::no_slot_key(name))?);
    }
    if !found.iter().all(|(_, known)| *known) {
        slot::use_keys(session, slot_keys.clone(), queue_id, lanes);
    }
    Ok(slot_keys)
}

/// Takes a slot of each key for a task whose row is locked, or new: all or none. `Err`: the key for which it gets in line.
pub fn take(session: &Session, task_id: i64, queue_id: i32, slot_keys: &[i64]) -> Result<(), i64> {
    let Err(mut missing) = slot::take(session, task_id, slot_keys, false) else {
        return Ok(());
    };
    let mut sides: BTreeMap<usize, bool> = BTreeMap::new();
    loop {
        let key = missing.key;
        if let Some(sure) = sides.get(&key) {
            // One that is free, and held by somebody who may yet leave it free, is looked for later.
            if !sure || missing.seen {
                slot::insert_due(session, slot_keys[key], false, queue_id);
            }
            return Err(slot_keys[key]);
        }
        let sure = sure_on(slot_keys[key], SlotSide::Waiting);
        sides.insert(key, sure);
        match slot::take(session, task_id, slot_keys, true) {
            Ok(()) => return Ok(()),
            Err(again) => missing = again,
        }
    }
}

/// The same for a task whose row is there, locked by this transaction: it is ready, or in line. Returns whether it is ready.
pub fn enter(session: &Session, task_id: i64, queue_id: i32, slot_keys: &[i64]) -> bool {
    match take(session, task_id, queue_id, slot_keys) {
        Ok(()) => {
            lease::make_ready(session, task_id);
            true
        }
        Err(slot_key) => {
            lease::make_waiting(session, task_id, Some(slot_key));
            false
        }
    }
}

/// Tasks have got in line for a key, in this transaction: they are given what is free. Returns those made ready.
pub fn line_up(session: &Session, slot_key: i64, queue_id: i32) -> Vec<i64> {
    line_up_all(session, &[(slot_key, queue_id)])
}

/// The same for several keys, each with a queue of these tasks.
pub fn line_up_all(session: &Session, keys: &[(i64, i32)]) -> Vec<i64> {
    let mut sure = BTreeMap::new();
    let mut known = Vec::new();
    for (slot_key, _) in keys {
        sure.insert(*slot_key, sure_on(*slot_key, SlotSide::Waiting));
        known.extend(slot::read(session, *slot_key).map(|key| (*slot_key, key)));
    }
    let mut filled = fill_all(session, known);
    let mut ready = Vec::new();
    for (slot_key, queue_id) in keys {
        let filling = filled.remove(slot_key).unwrap_or_default();
        if !sure[slot_key] || filling.is_open() {
            slot::insert_due(session, *slot_key, false, *queue_id);
        }
        ready.extend(filling.ready);
    }
    ready
}

/// Frees the slots of tasks, and hands them to the next in line.
pub fn release(session: &Session, leaving: &[Leaving]) -> Freed {
    let mut keys: BTreeMap<i64, i32> = BTreeMap::new();
    for task in leaving {
        for slot_key in &task.slot_keys {
            keys.entry(*slot_key).or_insert(task.queue_id);
        }
    }
    let mut freed = Freed::default();
    if keys.is_empty() {
        return freed;
    }
    xact::force_id();
    // Where somebody was in line the last time, somebody will be: then nothing stays free, and nobody needs to be seen.
    let mut sure: BTreeMap<i64, bool> = BTreeMap::new();
    for slot_key in keys.keys() {
        if !slot::was_waited_for(*slot_key) {
            sure.insert(*slot_key, sure_on(*slot_key, SlotSide::Freeing));
        }
    }
    let holders = leaving.iter().map(|task| task.task_id).collect();
    // Steps' keys, which are greater, before runs': in those stand the tasks that need both.
    let released = slot::release(session, holders, keys.keys().rev().copied().collect());
    let looked_at = released
        .iter()
        .filter(|released| released.waited_for || released.key.drains);
    let mut filled = fill_all(session, looked_at.map(|r| (r.slot_key, r.key)).collect());
    for released in released {
        let slot_key = released.slot_key;
        let mut filling = filled.remove(&slot_key).unwrap_or(Filling {
            free: true,
            ..Filling::default()
        });
        let mut sure = sure.get(&slot_key).copied();
        if filling.free && sure.is_none() {
            sure = Some(sure_on(slot_key, SlotSide::Freeing));
            let again = fill(session, slot_key);
            filling = Filling {
                ready: [filling.ready, again.ready].concat(),
                dry: [filling.dry, again.dry].concat(),
                ..again
            };
        }
        if filling.is_open() || filling.free && sure != Some(true) {
            slot::insert_due(session, slot_key, true, keys[&slot_key]);
        }
        if !released.key.named && filling.free && !filling.waiting {
            freed.dry.push(slot_key);
        }
        freed.ready.extend(filling.ready);
        freed.dry.extend(filling.dry);
    }
    freed
}

/// Enters a side of a key; returns whether what is seen there from now on is all that there is.
fn sure_on(slot_key: i64, side: SlotSide) -> bool {
    lock::enter_slot(slot_key, side) && !xact::has_fixed_snapshot()
}

/// Slots of a key have become free in this transaction, or are there no more.
pub fn changed(session: &Session, slot_key: i64) -> Freed {
    let sure = sure_on(slot_key, SlotSide::Freeing);
    let filling = fill(session, slot_key);
    if filling.is_open() || filling.free && !sure {
        slot::insert_due_where_used(session, slot_key);
    }
    Freed {
        ready: filling.ready,
        dry: filling.dry,
    }
}

/// What became of a key with more slots than its capacity.
enum Drained {
    /// It has as many as it should, by now.
    Over,
    /// It has still too many, all of them held.
    Full,
    /// Somebody else is changing it.
    Unknown,
}

/// Takes free slots away from a key that has too many.
fn drain(session: &Session, slot_key: i64) -> Drained {
    match slot::try_lock_key(session, slot_key) {
        None => Drained::Unknown,
        Some(excess) if excess <= 0 => Drained::Over,
        Some(excess) if slot::drain(session, slot_key, excess) == excess => Drained::Over,
        Some(_) => Drained::Full,
    }
}

#[derive(Default)]
struct Filling {
    ready: Vec<i64>,
    /// The first keys of those that were in line for another one, and are ready now: their steps' perhaps.
    dry: Vec<i64>,
    /// A slot is free still.
    free: bool,
    /// Somebody is in line still.
    waiting: bool,
}

impl Filling {
    /// A slot is free and somebody waits: locked by others, or more than are looked at in one call.
    fn is_open(&self) -> bool {
        self.free && self.waiting
    }
}

/// The same for one key, as it stands.
fn fill(session: &Session, slot_key: i64) -> Filling {
    match slot::read(session, slot_key) {
        Some(key) => fill_all(session, vec![(slot_key, key)])
            .remove(&slot_key)
            .unwrap_or_default(),
        None => Filling::default(),
    }
}

/// Gives free slots of keys to who is in line: highest priority first, and in the order of the keys. One that needs other keys, too, takes them, or
/// goes over to the line of one that it lacks; then the slot goes to the next.
fn fill_all(session: &Session, keys: Vec<(i64, Key)>) -> BTreeMap<i64, Filling> {
    let mut filled = BTreeMap::new();
    let mut open = Vec::new();
    for (slot_key, key) in keys {
        let mut filling = Filling::default();
        if key.drains && !matches!(drain(session, slot_key), Drained::Over) {
            // What is free still, because others hold it, must be looked at again.
            (filling.free, _) = slot::look(session, slot_key, false);
            filling.waiting = true;
        } else {
            open.push((slot_key, key.lanes));
        }
        filled.insert(slot_key, filling);
    }
    let lanes = open.iter().fold(0, |lanes, (_, of_key)| lanes | of_key);
    for priority in queue::priorities(lanes) {
        open.retain(|(slot_key, lanes)| {
            let filling = filled.get_mut(slot_key).expect("it was looked at");
            lanes & queue::lane(priority) == 0 || fill_lane(session, *slot_key, priority, filling)
        });
    }
    filled
}

/// The same for one key and priority; returns whether a slot is free still, for lower ones.
fn fill_lane(session: &Session, slot_key: i64, priority: i16, filling: &mut Filling) -> bool {
    let mut room = limits::MOVES;
    let mut served = Served::InTurn;
    loop {
        let filled = slot::fill(session, slot_key, priority, served);
        let full = filled.given.len() >= limits::SWEEP as usize;
        let mut again = full || filled.in_turn && !filled.given.is_empty();
        for given in &filled.given {
            if given.slot_keys.len() == 1 || complete(session, slot_key, given) {
                filling.ready.push(given.task_id);
                let first = given.slot_keys.first();
                filling.dry.extend(first.filter(|key| **key != slot_key));
            } else {
                again = true;
                room -= 1;
            }
        }
        if room <= 0 {
            (filling.free, filling.waiting) = (true, true);
            return false;
        }
        if again {
            continue;
        }
        filling.free = filled.free;
        let blocked = filled.in_turn && filled.free && filled.waiting;
        if blocked && served != Served::CameOver {
            // Who stands first is locked by others: behind him may be some who are not.
            served = match served {
                Served::InTurn => Served::OwnLine,
                _ => Served::CameOver,
            };
            continue;
        }
        filling.waiting |= filled.waiting;
        return filling.free;
    }
}

/// A task that was given one slot takes the others that it needs, and is ready; else it gets in line for one of them, and the slot is free again.
fn complete(session: &Session, slot_key: i64, given: &Given) -> bool {
    let others: Vec<i64> = given
        .slot_keys
        .iter()
        .copied()
        .filter(|other| *other != slot_key)
        .collect();
    match take(session, given.task_id, given.queue_id, &others) {
        Ok(()) => {
            lease::make_ready(session, given.task_id);
            true
        }
        Err(missing) => {
            lease::go_over(session, given.task_id, missing);
            slot::free(session, given.task_id, vec![slot_key]);
            false
        }
    }
}

/// Takes up the keys that others left in a queue: gives out what is free, once those who were under way are over.
pub fn take_up(session: &Session, queue_id: i32) -> Freed {
    let left = slot::due(session, queue_id, limits::SWEEP);
    // Before anything is looked at: who leaves such a row from now on, this transaction among them, finds none that it could keep.
    for (slot_key, freed, due_ids) in &left {
        let side = if *freed {
            SlotSide::Freeing
        } else {
            SlotSide::Waiting
        };
        // (Who has left it himself is under way until he has ended.)
        let over = || lock::nobody_opposite(*slot_key, side);
        if !slot::was_left_here(*slot_key, *freed) && over() {
            let locked = slot::lock_due(session, due_ids.clone());
            if over() {
                slot::delete_due(session, locked);
            }
        }
    }
    let mut taken_up = Freed::default();
    let keys = left
        .iter()
        .filter_map(|(slot_key, ..)| slot::read(session, *slot_key).map(|key| (*slot_key, key)));
    let keys: BTreeMap<i64, Key> = keys.collect();
    // Steps' keys first, as when slots are freed.
    let in_order = keys.iter().rev().map(|(slot_key, key)| (*slot_key, *key));
    for (slot_key, filling) in fill_all(session, in_order.collect()) {
        if !keys[&slot_key].named && filling.free && !filling.waiting {
            taken_up.dry.push(slot_key);
        }
        taken_up.ready.extend(filling.ready);
        taken_up.dry.extend(filling.dry);
    }
    for (slot_key, freed, _) in left {
        if slot::look(session, slot_key, true) == (true, true) {
            slot::insert_due(session, slot_key, freed, queue_id);
        }
    }
    taken_up
}
