use super::access;
use super::args::{self, Checked, answer};
use crate::pg::datum::Jsonb;
use crate::store::compensation::{self, RunEntry};
use pgrx::prelude::*;

/// The ledger of a run: what would undo, undoes or has undone the work of its tasks, in the order of registration.
///
/// Arguments: `run_id`.
///
/// Returns a row per registration, as task_compensations, with the step and the item whose work it is, the task that did it, and where and with what it would be run
/// (`payload` NULL: what the step's definition comes to then).
///
/// Errors: 22004.
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn workflow_compensations(
    run_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(step, Option<String>),
        name!(item_index, Option<i32>),
        name!(of_task_id, i64),
        name!(compensation_no, i32),
        name!(name, String),
        name!(task_id, Option<i64>),
        name!(state, String),
        name!(error, Option<Jsonb>),
        name!(queue, String),
        name!(payload, Option<Jsonb>),
    ),
> {
    let session = access::reader();
    let compensations = || -> Checked<Vec<RunEntry>> {
        Ok(compensation::ledger_of_run(
            &session,
            args::required("run_id", run_id)?,
        ))
    };
    TableIterator::new(answer(compensations()))
}
