use super::access;
use super::args::{self, Checked, answer};
use crate::model::access::Capability::Work;
use crate::model::outcome::{Refusal, needs_live};
use crate::pg::error::Misuse;
use crate::store::{lease, task};
use pgrx::prelude::*;

/// Raises unless the token is the current, unexpired lease; nobody can take or end the lease until the transaction ends, so
/// business writes beside it are fenced. The worker's own heartbeats pass.
///
/// Arguments: `task_id`; `lease_token`.
///
/// Errors: 22004, 55006 (the lease is not held: the detail tells why).
///
/// Locks: the task FOR KEY SHARE; the clock is read once it is held.
#[pg_extern(volatile, parallel_unsafe)]
fn task_require_lease(task_id: Option<i64>, lease_token: Option<i64>) {
    let session = access::verb(c"task_require_lease()", &[Work]);
    let require = || -> Checked<()> {
        let task_id = args::required("task_id", task_id)?;
        let token = args::required("lease_token", lease_token)?;
        loop {
            let refusal = match lease::require(&session, task_id, token) {
                Some(true) => return Ok(()),
                Some(false) => Some(Refusal::LeaseExpired),
                None => {
                    let standing = task::find(&session, task_id);
                    needs_live(standing.as_ref().map(|standing| &standing.found), token)
                }
            };
            let why = match refusal {
                Some(Refusal::NotFound) => "The task does not exist.",
                Some(Refusal::Terminal) => "The task has ended.",
                Some(Refusal::LeaseExpired) => "The lease has expired.",
                Some(_) => "The lease was lost.",
                None => continue, // The world has moved between the two statements.
            };
            return Err(Misuse::lease_not_held(task_id, why));
        }
    };
    answer(require())
}
