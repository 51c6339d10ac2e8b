use super::access;
use super::args::{self, Checked, answer};
use super::queues;
use super::runs::{self, Moving, Successor};
use crate::model::access::Capability::{Produce, Work};
use crate::model::limits;
use crate::model::run::RunState;
use crate::pg::datum::{Elements, Jsonb, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::step::{self, Scope};
use crate::store::{run, task};
use pgrx::prelude::*;
use serde_json::json;

/// Dispatches the successor of a task, or of its whole group, exactly once, however many call and in whatever order.
///
/// Arguments: `task_id` (the task that has ended); `successor` (its name, unique in the run); `queue`; `payload`; `needs` (names of
/// further steps of the run that must have ended); `max_attempts` (NULL: the queue's). A task without a run is its
/// own group and scope.
///
/// Outcomes: `not_found`; `already_dispatched` (the same id again); `run_not_active` (it is over, failing or being cancelled); `waiting` (the task, an item of its
/// group, or one of the steps in needs has not ended, or does not exist; or a group of the run names this successor and has
/// not ended); `dispatched`, which waits for its flush: after a crash nobody else is told so either. With it the
/// group's counts.
///
/// Needs `work` on the task, and `produce` in the queue.
///
/// Errors: 22004, 22023, 42501, 42704 (no such queue), 54000, 55000 (a step of the run has that name).
///
/// Locks: the run FOR NO KEY UPDATE, then the steps FOR SHARE, in the order of their ids (without a run the ended task FOR KEY
/// SHARE); waits for another transaction that is ending a step of the run, changing the run, or dispatching the same successor.
#[pg_extern(volatile, parallel_unsafe)]
fn task_dispatch_successor(
    task_id: Option<i64>,
    successor: Option<Text>,
    queue: Option<Text>,
    payload: default!(Option<Jsonb>, "'{}'"),
    needs: default!(Option<Elements<String>>, "NULL"),
    max_attempts: default!(Option<i32>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(outcome, String),
        name!(successor_task_id, Option<i64>),
        name!(siblings_remaining, Option<i32>),
        name!(completed, Option<i32>),
        name!(failed, Option<i32>),
        name!(cancelled, Option<i32>),
    ),
> {
    let session = access::verb(c"task_dispatch_successor()", &[Work]);
    let dispatch = || -> Checked<(&'static str, Option<i64>, Option<Counts>)> {
        let task_id = args::required("task_id", task_id)?;
        let successor = args::required_word("successor", successor)?;
        let queue = args::required_word("queue", queue)?;
        let payload = args::required_json("payload", payload)?;
        let mut needs = match needs {
            None => Vec::new(),
            Some(needs) => {
                args::not_null("needs", args::words("needs", Some(needs), limits::NEEDS)?)?
            }
        };
        needs.sort();
        needs.dedup();
        let max_attempts = args::max_attempts(max_attempts)?;
        xact::force_id();
        let targets = access::reach(&session, &[Produce])?;
        let queue = queues::writable_among(&session, &queue, targets.as_deref())?;
        let Some(scope) = step::scope_of(&session, task_id) else {
            return Ok(("not_found", None, None));
        };
        let successor = Successor {
            run_id: scope.run_id,
            scope_id: scope.run_id.unwrap_or(task_id),
            name: &successor,
            queue_id: queue.queue_id,
            payload,
            max_attempts,
        };
        let (outcome, successor_id) = dispatch(&session, task_id, &scope, &successor, needs)?;
        if outcome == "dispatched" {
            xact::make_durable(); // a crash that forgot it would let another be told the same
        }
        Ok((
            outcome,
            successor_id,
            Some(counts(&session, task_id, &scope)),
        ))
    };
    let (outcome, successor_id, counts) = answer(dispatch());
    let count = |read: fn(&Counts) -> i32| counts.as_ref().map(read);
    TableIterator::once((
        outcome.to_owned(),
        successor_id,
        count(|counts| counts.0),
        count(|counts| counts.1),
        count(|counts| counts.2),
        count(|counts| counts.3),
    ))
}

/// (remaining, completed, failed, cancelled)
type Counts = (i32, i32, i32, i32);

fn dispatch(
    session: &Session,
    task_id: i64,
    scope: &Scope,
    successor: &Successor,
    needs: Vec<String>,
) -> Checked<(&'static str, Option<i64>)> {
    if let Some(id) = step::find_dispatch(session, successor.scope_id, successor.name) {
        return Ok(("already_dispatched", Some(id)));
    }
    let needed = needs.len() as i64;
    let ended = |session| step::scope_of(session, task_id).is_some_and(|s| s.ended_as.is_some());
    let mut moving = None;
    let ready = match scope.run_id {
        Some(run_id) => {
            // The run before its steps, as everybody who does not come from a task.
            let held = run::lock(session, run_id, None).and_then(|_| run::hold(session, run_id));
            match held {
                None => return Ok(("not_found", None)), // It was purged meanwhile.
                Some(held) if matches!(held.state, RunState::Running | RunState::Paused) => {
                    moving = Some(Moving::new(session, held));
                }
                Some(_) => return Ok(("run_not_active", None)),
            }
            let (present, open) = step::lock_needs(session, run_id, scope.step_id, needs);
            // Read again: the locks may have waited for the transaction that ended the task.
            present == needed && open == 0 && ended(session)
        }
        None => {
            let needs_ended = step::needs_ended(session, task_id, scope.name.as_deref(), needs);
            // Ended is what can be held as ended: else a purge may pass before this one commits.
            let held = task::hold_ended(session, task_id).is_some();
            if !held && step::scope_of(session, task_id).is_none() {
                return Ok(("not_found", None)); // It was purged meanwhile.
            }
            held && needs_ended == needed
        }
    };
    if !ready {
        return Ok(("waiting", None));
    }
    // A group's own successor follows that group, with what the group says it carries.
    if let Some(run_id) = scope.run_id
        && let Some((step_id, over)) = step::naming(session, run_id, successor.name)
    {
        return Ok(match step::find_dispatch(session, run_id, successor.name) {
            Some(id) => ("already_dispatched", Some(id)),
            None if !over => ("waiting", None),
            None => match runs::dispatch_built_in(
                session,
                step_id,
                moving.as_mut().expect("the task stands in a run"),
            ) {
                Some(id) => {
                    moving.into_iter().for_each(Moving::write_events);
                    ("dispatched", Some(id))
                }
                None => (
                    "already_dispatched",
                    step::find_dispatch(session, run_id, successor.name),
                ),
            },
        });
    }
    // In this order: a step of that name that another dispatcher has just made comes with its dispatch.
    if let Some(run_id) = scope.run_id
        && step::find(
            session,
            Some(run_id),
            successor.name,
            successor.queue_id,
            None,
        )
        .is_some()
        && step::find_dispatch(session, run_id, successor.name).is_none()
    {
        return Err(Misuse::wrong_state(format!(
            "run {run_id} has a group \"{}\"",
            successor.name
        ))
        .detail("A step of a run has a name of its own."));
    }
    let paused = moving
        .as_ref()
        .is_some_and(|moving| moving.state() == RunState::Paused);
    Ok(match runs::dispatch(session, successor, paused) {
        Some(id) => {
            if let Some(mut moving) = moving {
                moving.event(
                    "step_dispatched",
                    json!({"step": successor.name, "total": 1}),
                );
                moving.write_events();
            }
            ("dispatched", Some(id))
        }
        None => (
            "already_dispatched",
            step::find_dispatch(session, successor.scope_id, successor.name),
        ),
    })
}

fn counts(session: &Session, task_id: i64, scope: &Scope) -> Counts {
    use crate::model::state::State;
    match scope.step_id {
        Some(step_id) => step::counts(session, step_id),
        None => {
            let ended = step::scope_of(session, task_id).and_then(|scope| scope.ended_as);
            match ended {
                None => (1, 0, 0, 0),
                Some(State::Completed) => (0, 1, 0, 0),
                Some(State::Cancelled | State::Compensated) => (0, 0, 0, 1),
                Some(_) => (0, 0, 1, 0),
            }
        }
    }
}
