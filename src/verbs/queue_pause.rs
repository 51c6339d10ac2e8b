use super::args::{self, Checked, answer};
use super::{access, queues};
use crate::model::access::Capability::Control;
use crate::pg::datum::Text;
use crate::store::queue;
use pgrx::prelude::*;
use std::ffi::CStr;

/// Pauses a queue: an acquire that starts after this has committed grants nothing in it. What runs may finish, and tasks may
/// be created. Paused twice is paused once.
///
/// Arguments: `name`.
///
/// Errors: 22004, 22023, 42704 (no such queue).
///
/// Locks: the queue's row.
#[pg_extern(volatile, parallel_unsafe)]
fn queue_pause(name: Option<Text>) {
    set(c"queue_pause()", name, true);
}

/// Resumes a paused queue.
///
/// Arguments: `name`.
///
/// Errors: 22004, 22023, 42704 (no such queue).
///
/// Locks: the queue's row.
#[pg_extern(volatile, parallel_unsafe)]
fn queue_resume(name: Option<Text>) {
    set(c"queue_resume()", name, false);
}

fn set(function: &CStr, name: Option<Text>, paused: bool) {
    let session = access::verb(function, &[Control]);
    let set = || -> Checked<()> {
        let name = args::required_word("name", name)?;
        let queue = queues::named(&session, &name)?;
        if !queue::pause(&session, queue.queue_id, paused) {
            // It is so already, or somebody has just dropped it.
            queues::named(&session, &name)?;
        }
        Ok(())
    };
    answer(set())
}
