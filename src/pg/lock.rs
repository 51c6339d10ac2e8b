//! Locks on objects rather than rows, as the server itself has them for schemas: who puts a task into a queue
//! holds the queue, and who drops it waits for them.

use pgrx::prelude::*;

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

/// The table whose rows are the objects.
fn queues() -> pg_sys::Oid {
    // SAFETY: syscache look-ups.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"baton".as_ptr(), false);
        pg_sys::get_relname_relid(c"queue".as_ptr(), schema)
    }
}

fn object(queue_id: i32) -> pg_sys::Oid {
    pg_sys::Oid::from(queue_id as u32)
}
