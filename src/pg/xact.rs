//! The transaction around a call.

use super::session::set_config;
use super::settings;
use pgrx::prelude::*;
use std::sync::Once;

/// Gives the transaction its id now. Whoever puts an entry into a line does this before it draws the
/// position: the claim floors rest on it (`model::claim_floor`).
pub fn force_id() {
    id();
}

/// The transaction's id, which it has from now on.
pub fn id() -> u64 {
    // SAFETY: plain server call.
    unsafe { pg_sys::GetTopFullTransactionId().value }
}

/// A bound below which no other transaction is running, for a snapshot taken now (or for the transaction's
/// own, if the caller chose REPEATABLE READ).
pub fn oldest_other() -> u64 {
    // SAFETY: the snapshot is static and only read at once; xip holds the running transactions of others
    // below xmax, as many as xcnt says.
    unsafe {
        let snapshot = pg_sys::GetTransactionSnapshot();
        let others =
            (0..(*snapshot).xcnt as usize).map(|i| pgrx::xid_to_64bit(*(*snapshot).xip.add(i)));
        others.min().unwrap_or_else(|| {
            // xmax is the first that had not ended: if that is this transaction itself, look behind it.
            let mut bound = pgrx::xid_to_64bit((*snapshot).xmax);
            while pg_sys::TransactionIdIsCurrentTransactionId((bound as u32).into()) {
                bound += 1;
            }
            bound
        })
    }
}

/// Whether the caller chose REPEATABLE READ or SERIALIZABLE: what others have committed since stays unseen.
pub fn has_fixed_snapshot() -> bool {
    // SAFETY: reads a server variable.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// The next transaction id.
pub fn next_id() -> u64 {
    // SAFETY: plain server call.
    unsafe { pg_sys::ReadNextFullTransactionId().value }
}

/// Callers with `synchronous_commit = off` lost acknowledged finalizations on a kill (102 of
/// 147,340), and the sequence re-issued acknowledged tokens: such a transaction is made to wait for
/// its flush, whatever is set around or after the call. The setting itself is raised from `off` only,
/// never lowered, so that a synchronous standby is waited for too.
pub fn make_durable() {
    if settings::durable_finalize() {
        // SAFETY: sets a flag of the transaction, and reads a server variable.
        let off = unsafe {
            pg_sys::ForceSyncCommit();
            pg_sys::synchronous_commit == pg_sys::SyncCommitLevel::SYNCHRONOUS_COMMIT_OFF as i32
        };
        if off {
            set_config(
                c"synchronous_commit",
                c"on",
                pg_sys::GucAction::GUC_ACTION_LOCAL,
            );
        }
    }
}

/// Told at the end of every transaction, and of every subtransaction that is undone, whether what was
/// done in it stands. Registered once per backend.
pub fn on_end(callback: fn(stands: bool)) {
    static ONCE: Once = Once::new();
    static mut CALLBACK: Option<fn(bool)> = None;

    #[pg_guard]
    unsafe extern "C-unwind" fn at_end(
        event: pg_sys::XactEvent::Type,
        _arg: *mut std::ffi::c_void,
    ) {
        let stands = match event {
            pg_sys::XactEvent::XACT_EVENT_COMMIT => true,
            pg_sys::XactEvent::XACT_EVENT_ABORT | pg_sys::XactEvent::XACT_EVENT_PREPARE => false,
            _ => return,
        };
        if let Some(callback) = CALLBACK {
            callback(stands);
        }
    }

    #[pg_guard]
    unsafe extern "C-unwind" fn at_subtransaction_end(
        event: pg_sys::SubXactEvent::Type,
        _id: pg_sys::SubTransactionId,
        _parent: pg_sys::SubTransactionId,
        _arg: *mut std::ffi::c_void,
    ) {
        if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB
            && let Some(callback) = CALLBACK
        {
            callback(false);
        }
    }

    // SAFETY: a backend has one thread; the callbacks live as long as the library, that is, the
    // backend.
    ONCE.call_once(|| unsafe {
        CALLBACK = Some(callback);
        pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(at_subtransaction_end), std::ptr::null_mut());
    });
}

/// The server's clock in microseconds since 2000-01-01, for bookkeeping; decisions read the clock in SQL.
pub fn clock() -> i64 {
    // SAFETY: plain server call.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// Which installation of the extension this is: another CREATE EXTENSION is another one.
pub fn home() -> u32 {
    // SAFETY: syscache look-up.
    unsafe { pg_sys::get_namespace_oid(c"baton".as_ptr(), false).to_u32() }
}

/// A random number in [0, 1), for jitter.
pub fn random() -> f64 {
    // SAFETY: the server's own generator, seeded per backend.
    unsafe { pg_sys::pg_prng_double(&raw mut pg_sys::pg_global_prng_state) }
}
