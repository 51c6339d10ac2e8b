use super::access;
use super::args::{self, Checked, answer};
use crate::pg::datum::Jsonb;
use crate::store::compensation::{self, Entry};
use pgrx::prelude::*;

/// The ledger of a task: what would undo, undoes or has undone its work, in the order of registration.
///
/// Arguments: `task_id`.
///
/// Returns a row per registration: its number and name, the task that runs it (NULL: none yet), and `state`: `registered`, or where that task is, or how it
/// ended, with its error. Nothing of it is ever taken back, nor changed once that task has ended.
///
/// Errors: 22004.
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn task_compensations(
    task_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(compensation_no, i32),
        name!(name, String),
        name!(task_id, Option<i64>),
        name!(state, String),
        name!(error, Option<Jsonb>),
    ),
> {
    let session = access::reader();
    let compensations = || -> Checked<Vec<Entry>> {
        Ok(compensation::of_task(
            &session,
            args::required("task_id", task_id)?,
        ))
    };
    TableIterator::new(answer(compensations()))
}
