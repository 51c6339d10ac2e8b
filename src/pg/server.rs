//! The server that this backend belongs to.

use pgrx::prelude::*;

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
