use super::args::{self, Checked, answer};
use super::overdue::{self, End};
use super::task_finalize::{first_by, undone};
use super::{access, advance};
use crate::model::access::Capability::Work;
use crate::model::outcome::{Refusal, needs_current, needs_current_or_replay};
use crate::model::state::State;
use crate::pg::datum::Instant;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::lease::{self, GivenBack, Report};
use crate::store::task;
use pgrx::prelude::*;

/// Gives a lease back unused: the task gets in line again, at once or after a delay (in a paused run when that is resumed). It counts neither as an attempt nor as a
/// loss.
///
/// Arguments: `task_id`; `lease_token`; `delay` (0 to 10 years); `unless_started` (leave it alone if task_start was
/// called).
///
/// Outcomes: `not_found`, `terminal`, `lease_lost`, `cancelled` (a cancel was requested: the task ends), `compensation_started` (the same, and compensations
/// are registered: they run first), `started`
/// (with unless_started), `released` with `run_at`. A replay repeats the first answer.
///
/// Errors: 22004, 22023 (delay).
///
/// Locks: the task FOR UPDATE, waiting for it; then as task_finalize.
#[pg_extern(volatile, parallel_unsafe)]
fn task_release(
    task_id: Option<i64>,
    lease_token: Option<i64>,
    delay: default!(Option<Interval>, "'0'"),
    unless_started: default!(Option<bool>, "false"),
) -> TableIterator<'static, (name!(outcome, String), name!(run_at, Option<Instant>))> {
    let session = access::verb(c"task_release()", &[Work]);
    let release = || -> Checked<(&'static str, Option<Instant>)> {
        let task_id = args::required("task_id", task_id)?;
        let token = args::required("lease_token", lease_token)?;
        let delay = args::delay("delay", args::required("delay", delay)?)?;
        let unless_started = args::required("unless_started", unless_started)?;
        xact::force_id();
        xact::make_durable();
        loop {
            if let Some(answer) = release(&session, task_id, token, delay, unless_started) {
                return Ok(answer);
            }
        }
    };
    let (outcome, run_at) = answer(release());
    TableIterator::once((outcome.to_owned(), run_at))
}

/// `None`: the world has moved, try again.
fn release(
    session: &Session,
    task_id: i64,
    token: i64,
    delay: Interval,
    unless_started: bool,
) -> Option<(&'static str, Option<Instant>)> {
    let Some(task) = lease::lock_by_token(session, task_id, token) else {
        return explain(session, task_id, token);
    };
    let mut left = Vec::new();
    let answer = if task.lease.cancel_requested {
        let state = overdue::ended(task.state, State::Cancelled);
        let reason = task.cancel_reason.as_deref().unwrap_or("cancelled");
        let report = Report::because(state, reason);
        match overdue::end(session, &task, End::ByLease, &report, &mut left) {
            State::Compensating => ("compensation_started", None),
            _ => ("cancelled", None),
        }
    } else if unless_started && task.lease.started {
        ("started", None)
    } else {
        let event = "released";
        let how = GivenBack {
            loss_counted: false,
            used: false,
            event,
            delay,
            error: None,
            by_lease: true,
        };
        let (_, run_at) = overdue::postpone(session, &task, &how, &mut left);
        ("released", Some(run_at))
    };
    advance::after(session, left);
    Some(answer)
}

fn explain(session: &Session, task_id: i64, token: i64) -> Option<(&'static str, Option<Instant>)> {
    let standing = task::find(session, task_id);
    if standing.is_some()
        && let Some(settled) = lease::settled(session, task_id, token)
        && settled.kind == "released"
    {
        return Some(("released", Some(settled.run_at)));
    }
    let found = standing.as_ref().map(|standing| &standing.found);
    if let Some(standing) = &standing
        && standing.cancel_requested
        && let state = standing.found.state
        && let Some((State::Cancelled, ..)) = first_by(session, state, task_id, token, None, None)
    {
        return Some((undone(true), None));
    }
    let ended_so = standing.as_ref().is_some_and(|standing| {
        standing.found.state == State::Cancelled && standing.cancel_requested
    });
    if ended_so && needs_current_or_replay(found, token) == Some(Refusal::AlreadyFinalized) {
        return Some(("cancelled", None));
    }
    needs_current(found, token).map(|refusal| (refusal.word(), None))
}
