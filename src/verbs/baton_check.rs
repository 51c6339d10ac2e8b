use super::access;
use super::args::{self, Checked, answer};
use crate::model::access::Capability::Operate;
use crate::store::check::{self, Broken};
use pgrx::prelude::*;

/// One row per broken invariant; no row is health.
///
/// Arguments: `full` (look at finished tasks and their tapes too; by default only at live tasks and open
/// groups).
///
/// Errors: 22004.
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn baton_check(
    full: default!(Option<bool>, "false"),
) -> TableIterator<
    'static,
    (
        name!(invariant, String),
        name!(object, String),
        name!(object_id, i64),
        name!(detail, String),
    ),
> {
    let session = access::overseer(Operate);
    let check =
        || -> Checked<Vec<Broken>> { Ok(check::broken(&session, args::required("full", full)?)) };
    TableIterator::new(answer(check()))
}
