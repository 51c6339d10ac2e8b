//! What every function does first and last: the caller's role and settings give way to the owner's.

use super::datum::QueueIds;
use super::roles::Role;
use pgrx::prelude::*;
use std::cell::{Cell, OnceCell};
use std::ffi::CStr;
use std::rc::Rc;

/// One call of one function, acting as the extension's owner, connected to SPI from its first statement on. When it is dropped
/// the caller's role and settings are back; if the call fails, the server itself restores them with
/// the (sub)transaction.
pub struct Session {
    caller: Role,
    security_context: i32,
    caller_context: pg_sys::MemoryContext,
    queues: OnceCell<Option<Rc<QueueIds>>>,
    /// Set while it is connected to SPI.
    settings: OnceCell<GucNest>,
}

impl Session {
    /// For functions that write. `function` names it in the error of a read-only transaction (25006).
    pub fn verb(function: &CStr) -> Session {
        // SAFETY: plain server calls; they raise if the transaction may not write, or runs in parallel (25006, 25000).
        unsafe {
            pg_sys::PreventCommandIfReadOnly(function.as_ptr());
            pg_sys::PreventCommandIfParallelMode(function.as_ptr());
        }
        Session::open()
    }

    /// For functions that only read.
    pub fn reader() -> Session {
        Session::open()
    }

    fn open() -> Session {
        let mut caller = pg_sys::InvalidOid;
        let mut security_context = 0;
        // SAFETY: plain server calls; the owner's oid is that of an existing schema.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut caller, &mut security_context);
            let caller_context = pg_sys::CurrentMemoryContext;
            pg_sys::SetUserIdAndSecContext(
                owner(),
                security_context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32,
            );
            OPEN.set(OPEN.get() + 1);
            Session {
                caller: Role(caller),
                security_context,
                caller_context,
                queues: OnceCell::new(),
                settings: OnceCell::new(),
            }
        }
    }

    /// Makes ready for statements, once: calls that need none are spared this.
    pub(super) fn connect(&self) {
        self.settings.get_or_init(|| {
            // A plain SECURITY DEFINER … SET search_path without pg_temp last was hijacked by a
            // temporary table.
            let settings = GucNest::open();
            settings.set(c"search_path", c"pg_catalog, pg_temp");
            // SAFETY: reads a server variable; a plain server call.
            unsafe {
                // force_custom_plan would win over the kept, generic plans.
                if pg_sys::plan_cache_mode != pg_sys::PlanCacheMode::PLAN_CACHE_MODE_AUTO as i32 {
                    settings.set(c"plan_cache_mode", c"auto");
                }
                assert_eq!(pg_sys::SPI_connect(), pg_sys::SPI_OK_CONNECT as i32);
            }
            settings
        });
    }

    /// The role that called: the effective one.
    pub fn caller(&self) -> Role {
        self.caller
    }

    /// Says which queues this call may touch (`None`: all), once.
    pub fn confine(&self, queues: Option<Rc<QueueIds>>) {
        self.queues.set(queues).expect("a call is confined once");
    }

    /// The queues that this call may touch, for the statements; NULL: all. Tasks of other queues do not exist for
    /// it.
    pub fn queues(&self) -> Option<&QueueIds> {
        self.queues
            .get()
            .expect("a call is confined before it touches anything")
            .as_deref()
    }

    pub fn may_touch(&self, queue_id: i32) -> bool {
        self.queues()
            .is_none_or(|queues| queues.ids().contains(&queue_id))
    }

    /// Where values live that are returned to the caller.
    pub(super) fn caller_context(&self) -> pg_sys::MemoryContext {
        self.caller_context
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        OPEN.set(OPEN.get() - 1);
        if !std::thread::panicking() {
            // SAFETY: undoes what `open` did; the settings follow when the nest is dropped.
            unsafe {
                if self.settings.get().is_some() {
                    pg_sys::SPI_finish();
                }
                pg_sys::SetUserIdAndSecContext(self.caller.0, self.security_context);
            }
        }
    }
}

thread_local! {
    static OPEN: Cell<u32> = const { Cell::new(0) };
}

/// Whether one of the functions is at work.
pub fn is_open() -> bool {
    OPEN.get() > 0
}

/// The owner of the extension's state.
pub(super) fn owner() -> pg_sys::Oid {
    // SAFETY: syscache look-ups; the tuple is released before its copy is used.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"baton".as_ptr(), false);
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::NAMESPACEOID as i32,
            pg_sys::Datum::from(schema),
        );
        assert!(!tuple.is_null(), "schema baton has a catalog row");
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_namespace>();
        let owner = (*form).nspowner;
        pg_sys::ReleaseSysCache(tuple);
        owner
    }
}

/// Settings changed for a while, put back when dropped.
pub(super) struct GucNest(i32);

impl GucNest {
    pub(super) fn open() -> GucNest {
        // SAFETY: plain server call.
        GucNest(unsafe { pg_sys::NewGUCNestLevel() })
    }

    pub(super) fn set(&self, name: &CStr, value: &CStr) {
        set_config(name, value, pg_sys::GucAction::GUC_ACTION_SAVE);
    }
}

impl Drop for GucNest {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: closes the nest that `open` opened.
            unsafe { pg_sys::AtEOXact_GUC(true, self.0) }
        }
    }
}

pub(super) fn set_config(name: &CStr, value: &CStr, action: pg_sys::GucAction::Type) {
    // SAFETY: both strings are C strings; the server copies them.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}
