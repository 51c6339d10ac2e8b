//! Slots: rows held by tasks.

use crate::pg::session::Session;
use crate::statements;
use crate::store::floors::{self, Line, Scan};

statements! {
    INSERT = "slots_insert.sql",
    HAND_OVER = "hand_over.sql",
    KEY_EXCLUDE = "slot_key_exclude.sql",
    KEY_SHARE = "slot_key_share.sql",
    KEY_HOLD = "slot_key_hold.sql",
    LEAVE = "slots_leave.sql",
    FREE = "slots_free.sql",
    WAITER_EXISTS = "slot_waiter_exists.sql",
    TAKE = "slot_take.sql",
    FILL = "slot_fill.sql",
    HAS_FREE = "slot_has_free.sql",
}

/// The slots of a new bounded step, held by its first items.
pub fn insert(session: &Session, slot_key: i64, capacity: i32, holders: Vec<i64>) {
    let args = [slot_key.into(), capacity.into(), holders.into()];
    INSERT.with(|s| drop(s.write(session, &args)));
}

/// A task that was given a slot, and the key of another one that it needs to be ready.
pub type Given = (i64, Option<i64>);

/// Hands the slots of these holders to who is next in line: (slots that were to be handed over, who got one).
pub fn hand_over(
    session: &Session,
    slot_key: i64,
    holders: Vec<i64>,
    scan: Scan,
) -> (usize, Vec<Given>) {
    let args = [slot_key.into(), holders.into(), scan.start().into()];
    let (mut first, mut drawn, mut freed) = (None, i64::MIN, 0);
    let woken = HAND_OVER.with(|s| {
        s.write(session, &args).all(|row| {
            (first, drawn, freed) = (row.get(), row.get(), row.get::<i64>());
            row.get::<Option<i64>>().map(|task_id| (task_id, row.get()))
        })
    });
    scan.end(first, drawn);
    (freed as usize, woken.into_iter().flatten().collect())
}

/// Nobody gets in line for the key, or frees a slot of it, until the transaction ends.
pub fn exclude(session: &Session, slot_key: i64) {
    KEY_EXCLUDE.with(|s| drop(s.write(session, &[slot_key.into()])));
}

/// Nobody frees a slot of the key until the transaction ends; `false`: somebody is freeing one now.
pub fn try_share(session: &Session, slot_key: i64) -> bool {
    KEY_SHARE.with(|s| s.write(session, &[slot_key.into()]).len() == 1)
}

pub fn free(session: &Session, slot_key: i64, holders: Vec<i64>) {
    FREE.with(|s| drop(s.write(session, &[slot_key.into(), holders.into()])));
}

pub fn waiter_exists(session: &Session, slot_key: i64) -> bool {
    let start = floors::sure_scan(Line::Waiting { slot_key }).start();
    WAITER_EXISTS
        .with(|s| {
            s.write(session, &[slot_key.into(), start.into()])
                .first(|row| row.get())
        })
        .unwrap_or(false)
}

/// Whether a free slot was taken for the task.
pub fn take(session: &Session, slot_key: i64, task_id: i64) -> bool {
    TAKE.with(|s| s.write(session, &[slot_key.into(), task_id.into()]).len() == 1)
}

/// Gives free slots to who is in line, up to 100.
pub fn fill(session: &Session, slot_key: i64) -> Vec<Given> {
    FILL.with(|s| {
        s.write(session, &[slot_key.into()])
            .all(|row| (row.get(), row.get()))
    })
}

/// Nobody frees a slot of the key until the transaction ends; waits for who is freeing one.
pub fn hold(session: &Session, slot_key: i64) {
    KEY_HOLD.with(|s| drop(s.write(session, &[slot_key.into()])));
}

/// Frees all slots of these tasks, which are locked by this transaction.
pub fn leave(session: &Session, task_ids: Vec<i64>) {
    LEAVE.with(|s| drop(s.write(session, &[task_ids.into()])));
}

/// Whether a slot is free, or was before somebody took it who has not committed yet.
pub fn has_free(session: &Session, slot_key: i64) -> bool {
    HAS_FREE
        .with(|s| s.write(session, &[slot_key.into()]).first(|row| row.get()))
        .unwrap_or(false)
}
