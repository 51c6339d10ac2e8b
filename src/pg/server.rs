//! The server that this backend belongs to.

use super::table::relation_named;
use pgrx::prelude::*;
use std::ffi::CStr;

/// When it was started, in microseconds since 2000-01-01: no two servers that ever were, nor one and what was restored from it, have that in common.
pub fn started() -> i64 {
    // SAFETY: reads a server variable, set before any backend is.
    unsafe { pg_sys::PgStartTime }
}

/// The database's oid: a copy within the server has another one.
pub fn database() -> u32 {
    // SAFETY: reads a server variable.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// Does something while no other backend does it, by a lock on a sequence that is kept no longer: who waits, waits for no transaction.
pub fn one_at_a_time(sequence: &CStr, act: impl FnOnce()) {
    // SAFETY: plain server calls; if `act` raises, the lock ends with the transaction.
    unsafe {
        let tag = pg_sys::LOCKTAG {
            locktag_field1: pg_sys::MyDatabaseId.to_u32(),
            locktag_field2: pg_sys::RelationRelationId.to_u32(),
            locktag_field3: relation_named(sequence).to_u32(),
            locktag_field4: 0,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        };
        let mode = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;
        pg_sys::LockAcquire(&raw const tag, mode, false, false);
        act();
        pg_sys::LockRelease(&raw const tag, mode, false);
    }
}
