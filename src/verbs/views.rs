//! What the views call.

use super::access;
use pgrx::prelude::*;

/// The queues that the caller may look at; NULL: all.
#[pg_extern(sql = false)]
fn queues_seen() -> Option<Vec<i32>> {
    let session = access::reader();
    session.queues().map(|queues| queues.ids().to_vec())
}
