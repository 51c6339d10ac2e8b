use super::args::{self, Checked, answer};
use super::{access, queues};
use crate::model::access::Capability::{Produce, Work};
use crate::model::limits;
use crate::model::outcome::needs_current;
use crate::pg::datum::{Jsonb, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::{compensation, lease, task};
use pgrx::prelude::*;

/// Registers what undoes the work that a task has just done. If the task ends failed or cancelled, or loses its last lease, what was registered is run as
/// ordinary tasks, one at a time, last registered first, before it ends. In a run, what a completed task has registered is run if the run fails or is cancelled.
///
/// Arguments: `task_id`; `lease_token` (the current one, expired or not); `name` (1 to 255 bytes); `queue` (where it is run); `payload` (JSON, at most
/// pg_baton.max_payload_bytes).
///
/// Outcomes: `not_found`, `terminal`, `lease_lost`, `exists` (the task has one with this name and payload: its number), `registered`. `compensation_no` counts from 1.
///
/// Needs `work` on the task, and `work` or `produce` in the queue.
///
/// Errors: 22004, 22023, 42704 (no such queue), 54000 (payload too large, or more than 1000 of a task), 55000 (the task itself undoes something).
///
/// Locks: the queue, against being dropped; the task FOR UPDATE, waiting for it.
#[pg_extern(volatile, parallel_unsafe)]
fn task_register_compensation(
    task_id: Option<i64>,
    lease_token: Option<i64>,
    name: Option<Text>,
    queue: Option<Text>,
    payload: default!(Option<Jsonb>, "'{}'"),
) -> TableIterator<'static, (name!(outcome, String), name!(compensation_no, Option<i32>))> {
    let session = access::verb(c"task_register_compensation()", &[Work]);
    let register = || -> Checked<(&'static str, Option<i32>)> {
        let task_id = args::required("task_id", task_id)?;
        let token = args::required("lease_token", lease_token)?;
        let name = args::required_word("name", name)?;
        let queue = args::required_word("queue", queue)?;
        let payload = args::required_json("payload", payload)?;
        let targets = access::reach(&session, &[Work, Produce])?;
        let queue = queues::writable_among(&session, &queue, targets.as_deref())?;
        xact::force_id();
        loop {
            if let Some(answer) =
                register(&session, task_id, token, &name, queue.queue_id, payload)?
            {
                return Ok(answer);
            }
        }
    };
    let (outcome, compensation_no) = answer(register());
    TableIterator::once((outcome.to_owned(), compensation_no))
}

/// `None`: the world has moved, try again.
fn register(
    session: &Session,
    task_id: i64,
    token: i64,
    name: &str,
    queue_id: i32,
    payload: Jsonb,
) -> Checked<Option<(&'static str, Option<i32>)>> {
    let Some(task) = lease::lock_by_token(session, task_id, token) else {
        let standing = task::find(session, task_id);
        let found = standing.as_ref().map(|standing| &standing.found);
        return Ok(needs_current(found, token).map(|refusal| (refusal.word(), None)));
    };
    if task.place.compensates.is_some() {
        return Err(
            Misuse::wrong_state(format!("task {task_id} is a compensation"))
                .detail("What undoes something is tried until it is done, or gives up."),
        );
    }
    if let Some(known) = compensation::find(session, task_id, name, payload) {
        return Ok(Some(("exists", Some(known))));
    }
    if task.registrations >= limits::COMPENSATIONS {
        return Err(Misuse::over_limit(format!(
            "task {task_id} has {} compensations",
            task.registrations
        ))
        .detail("It may have no more."));
    }
    let number = compensation::register(session, task_id, token, queue_id, name, payload);
    Ok(Some(("registered", Some(number))))
}
