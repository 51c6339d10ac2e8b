//! Roles: who is a member of whom, and the news that somebody's capabilities have changed.

use super::session;
use pgrx::prelude::*;
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::sync::Once;

/// A role of the cluster, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Role(pub(super) pg_sys::Oid);

impl Role {
    pub fn by_name(name: &str) -> Option<Role> {
        let name = CString::new(name).ok()?;
        // SAFETY: a look-up by a C string.
        let oid = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
        (oid != pg_sys::InvalidOid).then_some(Role(oid))
    }

    pub fn name(self) -> String {
        // SAFETY: returns a C string for an existing role.
        unsafe {
            let name = pg_sys::GetUserNameFromId(self.0, false);
            CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }

    /// Whether it is the other role, or a member that inherits its privileges, or a superuser.
    pub fn has_privileges_of(self, other: Role) -> bool {
        // SAFETY: a look-up.
        unsafe { pg_sys::has_privs_of_role(self.0, other.0) }
    }

    /// Whether it may do all that the extension's owner may.
    pub fn is_owner(self) -> bool {
        self.has_privileges_of(Role(session::owner()))
    }
}

thread_local! {
    static GENERATION: Cell<u64> = const { Cell::new(0) };
    static TABLE: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
}

/// A number that grows whenever somebody's capabilities may have changed: a grant, a membership, a role. What
/// others have committed is known at once.
pub fn generation() -> u64 {
    static ONCE: Once = Once::new();

    #[pg_guard]
    unsafe extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
        if relation == pg_sys::InvalidOid || relation == TABLE.get() {
            GENERATION.set(GENERATION.get() + 1);
        }
    }

    #[pg_guard]
    unsafe extern "C-unwind" fn role_changed(_arg: pg_sys::Datum, _cache: i32, _hash: u32) {
        GENERATION.set(GENERATION.get() + 1);
    }

    // SAFETY: a backend has one thread; the callbacks live as long as the library, that is, the backend.
    ONCE.call_once(|| unsafe {
        let nothing = pg_sys::Datum::from(0);
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), nothing);
        for cache in [
            pg_sys::SysCacheIdentifier::AUTHOID,
            pg_sys::SysCacheIdentifier::AUTHMEMROLEMEM,
            pg_sys::SysCacheIdentifier::NAMESPACEOID,
            pg_sys::SysCacheIdentifier::DATABASEOID, // pg_database_owner
        ] {
            pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(role_changed), nothing);
        }
    });
    // SAFETY: plain server calls.
    unsafe {
        pg_sys::AcceptInvalidationMessages();
    }
    GENERATION.get()
}

/// Notes which table the capabilities are in: its changes are the news.
pub fn watch() {
    // SAFETY: syscache look-ups.
    TABLE.set(unsafe {
        let schema = pg_sys::get_namespace_oid(c"baton".as_ptr(), false);
        pg_sys::get_relname_relid(c"capability".as_ptr(), schema)
    });
}

/// Tells every backend, once this transaction has committed, that this table has changed.
pub(super) fn announce(table: pg_sys::Oid) {
    // SAFETY: the relation is open: its trigger is running.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) }
}
