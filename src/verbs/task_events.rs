use super::access;
use super::args::{self, Checked, answer};
use crate::model::limits;
use crate::pg::datum::{Instant, Jsonb};
use crate::store::tape::{self, Read};
use pgrx::prelude::*;

/// A task's tape, in order, a page at a time. Its last event, once the task has ended, is always `final`.
///
/// Arguments: `task_id`; `after_seq` (the last seq seen; 0: from the first); `max_events` (1 to 100000).
///
/// Event order is commit order: who asks for what comes after the last seq seen never misses an event. (A run's own tape is in workflow_events, not here.)
///
/// Errors: 22004, 22023, 54000 (max_events).
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn task_events(
    task_id: Option<i64>,
    after_seq: default!(Option<i64>, "0"),
    max_events: default!(Option<i32>, "1000"),
) -> TableIterator<
    'static,
    (
        name!(seq, i64),
        name!(kind, String),
        name!(body, Option<Jsonb>),
        name!(at, Instant),
        name!(lease_token, Option<i64>),
    ),
> {
    let session = access::reader();
    let events = || -> Checked<Vec<Read>> {
        let task_id = args::required("task_id", task_id)?;
        let after_seq = args::required("after_seq", after_seq)?;
        let max = args::max_rows("max_events", max_events, limits::ITEMS as i32)?;
        Ok(tape::events(&session, task_id, after_seq, max))
    };
    TableIterator::new(answer(events()))
}
