use super::args::{self, Checked, answer};
use super::overdue::{self, End};
use super::task_finalize::{first_by, refused, undone};
use super::{access, advance};
use crate::model::access::Capability::Work;
use crate::model::ending::{self, Ending};
use crate::model::state::State;
use crate::pg::datum::{Instant, Jsonb};
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::lease::{self, GivenBack, Report};
use crate::store::task;
use pgrx::prelude::*;

/// Reports that an attempt failed: the task is tried again later, or ends `failed` when its attempts are used up.
///
/// Arguments: `task_id`; `lease_token`; `error` (JSON); `retry_after` (0 to 10 years; NULL: the queue's
/// exponential backoff with jitter).
///
/// Outcomes: `not_found`; `already_finalized`, `already_finalized_differently` (this token ended it); `terminal`;
/// `lease_lost`; `finalized` (attempts used up: `failed`; a cancel was requested: `cancelled`); `compensation_started` (the same, and
/// compensations are registered: they run first); `retry_scheduled` with
/// `run_at` (in a paused run it may be `blocked` until that is resumed). A replay of a call that scheduled a retry repeats its answer.
///
/// Errors: 22004, 22023 (retry_after), 54000 (error too large).
///
/// Locks: the task FOR UPDATE, waiting for it; then as task_finalize.
#[pg_extern(volatile, parallel_unsafe)]
fn task_fail_attempt(
    task_id: Option<i64>,
    lease_token: Option<i64>,
    error: default!(Option<Jsonb>, "NULL"),
    retry_after: default!(Option<Interval>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(outcome, String),
        name!(state, Option<String>),
        name!(run_at, Option<Instant>),
    ),
> {
    let session = access::verb(c"task_fail_attempt()", &[Work]);
    let fail = || -> Checked<Answer> {
        let task_id = args::required("task_id", task_id)?;
        let token = args::required("lease_token", lease_token)?;
        let error = args::json("error", error)?;
        let retry_after = retry_after
            .map(|d| args::delay("retry_after", d))
            .transpose()?;
        xact::force_id();
        xact::make_durable();
        loop {
            if let Some(answer) = fail(&session, task_id, token, error, retry_after) {
                return Ok(answer);
            }
        }
    };
    let (outcome, state, run_at) = answer(fail());
    TableIterator::once((
        outcome.to_owned(),
        state.map(|state| state.name().to_owned()),
        run_at,
    ))
}

type Answer = (&'static str, Option<State>, Option<Instant>);

/// `None`: the world has moved, try again.
fn fail(
    session: &Session,
    task_id: i64,
    token: i64,
    error: Option<Jsonb>,
    retry_after: Option<Interval>,
) -> Option<Answer> {
    let Some(task) = lease::lock_by_token(session, task_id, token) else {
        return explain(session, task_id, token, error);
    };
    let mut left = Vec::new();
    let answer = match ending::failed_attempt(&task.lease) {
        Ending::End { state, reason, .. } => {
            let state = overdue::ended(task.state, state);
            let asked = task
                .cancel_reason
                .as_deref()
                .filter(|_| state == State::Cancelled);
            let reason = asked.unwrap_or(reason);
            let report = Report {
                error,
                ..Report::because(state, reason)
            };
            match overdue::end(session, &task, End::ByLease, &report, &mut left) {
                State::Compensating => ("compensation_started", Some(State::Compensating), None),
                state => ("finalized", Some(state), None),
            }
        }
        _ => {
            let delay = retry_after.unwrap_or_else(|| overdue::retry_delay(&task));
            let event = "retry_scheduled";
            let how = GivenBack {
                loss_counted: false,
                used: true,
                event,
                delay,
                error,
                by_lease: true,
            };
            let (state, run_at) = overdue::postpone(session, &task, &how, &mut left);
            (event, Some(state), Some(run_at))
        }
    };
    advance::after(session, left);
    Some(answer)
}

fn explain(session: &Session, task_id: i64, token: i64, error: Option<Jsonb>) -> Option<Answer> {
    let standing = task::find(session, task_id);
    if standing.is_some()
        && let Some(settled) = lease::settled(session, task_id, token)
        && settled.kind == "retry_scheduled"
    {
        let state = if settled.run_at > settled.at {
            State::Scheduled
        } else if settled.blocked {
            State::Blocked
        } else {
            State::Ready
        };
        return Some(("retry_scheduled", Some(state), Some(settled.run_at)));
    }
    if let Some(standing) = &standing
        && let state = standing.found.state
        && let Some((first, reason, same)) = first_by(session, state, task_id, token, None, error)
    {
        let by_this = match first {
            State::Cancelled => standing.cancel_requested,
            _ => reason.as_deref() == Some("attempts_exhausted"),
        };
        return Some((undone(same && by_this), Some(state), None));
    }
    // A replay of the call that ended it: out of attempts, or cancelled because that was asked.
    let cancelled = standing.is_some_and(|standing| {
        standing.found.state == State::Cancelled && standing.cancel_requested
    });
    let asked = task::reason(session, task_id).filter(|_| cancelled);
    let report = Report {
        state: if cancelled {
            State::Cancelled
        } else {
            State::Failed
        },
        result: None,
        error,
        reason: asked.as_deref().or(Some("attempts_exhausted")),
    };
    refused(session, task_id, token, &report).map(|answer| (answer.outcome, answer.state, None))
}
