use super::args::{self, Checked, answer};
use super::overdue::{self, End};
use super::{access, advance};
use crate::model::access::Capability::Control;
use crate::model::state::State;
use crate::model::transition::{self, Event};
use crate::pg::datum::Text;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::lease::{self, Report};
use pgrx::prelude::*;

/// Calls a task off. What is not running ends at once; what is running is asked to stop, or ended with force.
///
/// Arguments: `task_id`; `reason` (1 to 255 bytes); `force` (end a running task now: its lease is void at once).
///
/// Outcomes: `not_found`, `terminal`, `compensating` (its work is being undone, or it undoes that of another: it cannot be
/// cancelled), `cancelled` (it was not running, or was forced), `compensation_started` (the same, and compensations are registered: they run first), `cancel_requested` (its
/// worker is told by heartbeat, event or release; its task_finalize is accepted in any state; if its lease runs out, the task ends
/// cancelled). `cancelled` survives a crash, whatever synchronous_commit is; `cancel_requested` as that says.
///
/// Errors: 22004, 22023.
///
/// Locks: the task FOR UPDATE, waiting for it; then as task_finalize.
#[pg_extern(volatile, parallel_unsafe)]
fn task_cancel(
    task_id: Option<i64>,
    reason: default!(Option<Text>, "NULL"),
    force: default!(Option<bool>, "false"),
) -> TableIterator<'static, (name!(outcome, String), name!(state, Option<String>))> {
    let session = access::verb(c"task_cancel()", &[Control]);
    let cancel = || -> Checked<(&'static str, Option<State>)> {
        let task_id = args::required("task_id", task_id)?;
        let reason = args::optional_word("reason", reason)?;
        let force = args::required("force", force)?;
        Ok(cancel(&session, task_id, reason.as_deref(), force))
    };
    let (outcome, state) = answer(cancel());
    TableIterator::once((
        outcome.to_owned(),
        state.map(|state| state.name().to_owned()),
    ))
}

fn cancel(
    session: &Session,
    task_id: i64,
    reason: Option<&str>,
    force: bool,
) -> (&'static str, Option<State>) {
    let task = match overdue::lock_live(session, task_id) {
        Ok(task) => task,
        Err(None) => return ("not_found", None),
        Err(ended) => return ("terminal", ended),
    };
    // What undoes something is not called off.
    let state = match transition::next(task.state, Event::Cancel) {
        Ok(state) if task.place.compensates.is_none() => state,
        _ => return ("compensating", Some(task.state)),
    };
    if task.state == State::Running && !force {
        lease::request_cancel(session, task_id, reason, &session.caller().name());
        return ("cancel_requested", Some(State::Running));
    }
    xact::make_durable();
    let forced = task.state == State::Running;
    let reason = reason.unwrap_or(if forced { "forced" } else { "cancelled" });
    let mut left = Vec::new();
    let report = Report::because(state, reason);
    let state = overdue::end(session, &task, End::ByOthers, &report, &mut left);
    advance::after(session, left);
    let outcome = match state {
        State::Compensating => "compensation_started",
        _ => "cancelled",
    };
    (outcome, Some(state))
}
