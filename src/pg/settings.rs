//! The extension's settings: all of them a superuser's.

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

static MAX_PAYLOAD_BYTES: GucSetting<i32> = GucSetting::<i32>::new(256 * 1024);
static MAX_JOIN_BYTES: GucSetting<i32> = GucSetting::<i32>::new(64 * 1024 * 1024);
static MAX_EVENTS_PER_TASK: GucSetting<i32> = GucSetting::<i32>::new(100_000);
static DURABLE_FINALIZE: GucSetting<bool> = GucSetting::<bool>::new(true);

/// Once, when the library is loaded.
pub fn define() {
    GucRegistry::define_int_guc(
        c"pg_baton.max_payload_bytes",
        c"Largest payload, result, error, event body or metadata, each.",
        c"Counted in the bytes of the stored jsonb value.",
        &MAX_PAYLOAD_BYTES,
        1024,
        64 * 1024 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_int_guc(
        c"pg_baton.max_join_bytes",
        c"Most bytes that the results of a step's items may have together.",
        c"A step with more ends failed. Counted in the bytes of the stored jsonb values.",
        &MAX_JOIN_BYTES,
        1024,
        // An array of more than 256 MB is none for the server.
        128 * 1024 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_int_guc(
        c"pg_baton.max_events_per_task",
        c"Most events on the tape of one task.",
        c"The events that the functions write themselves are exempt.",
        &MAX_EVENTS_PER_TASK,
        1,
        i32::MAX,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_baton.durable_finalize",
        c"Makes transactions that grant, start or end a lease, or dispatch a successor, wait for their flush to disk.",
        c"Raises synchronous_commit from off to on for such a transaction; never lowers it.",
        &DURABLE_FINALIZE,
        GucContext::Suset,
        GucFlags::default(),
    );
    // A setting of that prefix that does not exist is refused rather than kept.
    // SAFETY: a plain server call with a C string.
    unsafe {
        pgrx::pg_sys::MarkGUCPrefixReserved(c"pg_baton".as_ptr());
    }
}

pub fn max_payload_bytes() -> usize {
    MAX_PAYLOAD_BYTES.get() as usize
}

pub fn max_join_bytes() -> i64 {
    i64::from(MAX_JOIN_BYTES.get())
}

pub fn max_events_per_task() -> i64 {
    i64::from(MAX_EVENTS_PER_TASK.get())
}

pub fn durable_finalize() -> bool {
    DURABLE_FINALIZE.get()
}
