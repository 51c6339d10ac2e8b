//! Locks on objects rather than rows, as the server itself has them for schemas: who puts a task into a queue
//! holds the queue, and who drops it waits for them; who frees a slot and who gets in line for one see each other.

use super::table::relation_named;
use pgrx::prelude::*;
use std::ffi::CStr;

/// Keeps the queue from being dropped until the transaction ends; waits for who is dropping it now.
pub fn hold_queue(queue_id: i32) {
    // SAFETY: plain server call; the lock is the transaction's.
    unsafe {
        pg_sys::LockDatabaseObject(queues(), object(queue_id), 0, SHARE);
    }
}

/// Keeps others from holding the queue until the transaction ends; `false`: somebody holds it.
pub fn try_exclude_queue(queue_id: i32) -> bool {
    // SAFETY: as above.
    unsafe { pg_sys::ConditionalLockDatabaseObject(queues(), object(queue_id), 0, EXCLUSIVE) }
}

/// Waits for the transactions that hold the queue now, without standing in line: who comes to hold it meanwhile passes. (In
/// line, a drop, who waits behind it, and who it waits for could wait for each other in a circle.)
pub fn wait_for_holders(queue_id: i32) {
    // SAFETY: plain server calls; the tag is that of the lock above (SET_LOCKTAG_OBJECT).
    unsafe {
        let tag = pg_sys::LOCKTAG {
            locktag_field1: pg_sys::MyDatabaseId.to_u32(),
            locktag_field2: queues().to_u32(),
            locktag_field3: queue_id as u32,
            locktag_field4: 0,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        };
        pg_sys::WaitForLockers(tag, EXCLUSIVE, false);
    }
}

const SHARE: pg_sys::LOCKMODE = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
const EXCLUSIVE: pg_sys::LOCKMODE = pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE;

fn queues() -> pg_sys::Oid {
    table(c"queue")
}

/// The table whose rows are the objects.
fn table(name: &CStr) -> pg_sys::Oid {
    // SAFETY: syscache look-ups.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"baton".as_ptr(), false);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    }
}

fn object(queue_id: i32) -> pg_sys::Oid {
    pg_sys::Oid::from(queue_id as u32)
}

/// Does something while no other backend does it, by a lock on a sequence that is kept no longer: who waits, waits for no transaction.
pub fn one_at_a_time(sequence: &CStr, act: impl FnOnce()) {
    let mode = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;
    let (class, sequence) = (pg_sys::RelationRelationId, relation_named(sequence));
    // SAFETY: plain server calls; if `act` raises, the lock ends with the transaction.
    unsafe {
        pg_sys::LockDatabaseObject(class, sequence, 0, mode);
        act();
        pg_sys::UnlockDatabaseObject(class, sequence, 0, mode);
    }
}

/// The two sides that must see each other at a slot key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SlotSide {
    /// Frees a slot.
    Freeing,
    /// Gets in line for one.
    Waiting,
}

impl SlotSide {
    fn other(self) -> SlotSide {
        match self {
            SlotSide::Freeing => SlotSide::Waiting,
            SlotSide::Waiting => SlotSide::Freeing,
        }
    }

    /// The object by which one is seen there: 48 bits of the key's id, which are all that an installation draws in its life.
    fn tag(self, slot_key: i64) -> pg_sys::LOCKTAG {
        let class = match self {
            SlotSide::Freeing => table(c"slot"),
            SlotSide::Waiting => table(c"slot_key"),
        };
        pg_sys::LOCKTAG {
            // SAFETY: reads a server variable.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            locktag_field2: class.to_u32(),
            locktag_field3: slot_key as u32,
            locktag_field4: (slot_key >> 32) as u16,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        }
    }
}

/// This transaction is seen on a side of the key until it ends; returns whether nobody else is on the other one. Each shows itself before it looks, so of two who come at the
/// same time one at least sees the other. Never waits: nobody takes a lock there that would conflict.
pub fn enter_slot(slot_key: i64, side: SlotSide) -> bool {
    let tag = side.tag(slot_key);
    // SAFETY: plain server call; the lock is the transaction's.
    unsafe {
        pg_sys::LockAcquire(
            &raw const tag,
            pg_sys::RowShareLock as pg_sys::LOCKMODE,
            false,
            false,
        );
    }
    nobody_opposite(slot_key, side)
}

/// Whether nobody else is on the other side of the key: who was has ended.
pub fn nobody_opposite(slot_key: i64, side: SlotSide) -> bool {
    let tag = side.other().tag(slot_key);
    let mut others = 0;
    // SAFETY: plain server call, which reads the lock table; its result is freed.
    unsafe {
        let mode = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;
        let holders = pg_sys::GetLockConflicts(&raw const tag, mode, &raw mut others);
        pg_sys::pfree(holders.cast());
    }
    others == 0
}
