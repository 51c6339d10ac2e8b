use super::access;
use super::advance;
use super::args::{self, Checked, answer};
use super::runs::{self, Moving};
use crate::model::access::Capability::Control;
use crate::model::run::{RunEvent, RunState, next_run};
use crate::model::state::State;
use crate::pg::datum::Text;
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::{run, step};
use pgrx::prelude::*;
use serde_json::json;

/// Calls a run off: what has not started ends at once, and nothing is dispatched in it any more.
///
/// Arguments: `run_id`; `reason` (1 to 255 bytes); `running`: what becomes of the tasks that run: `ask` (their workers are told,
/// as by task_cancel), `leave` (they may finish), `force` (they end at once, their leases are void).
///
/// Outcomes: `not_found`, `terminal`, `compensating` (what its tasks did is being undone already), `cancelled` (nothing ran, or it was forced: the run has ended),
/// `cancel_requested` (it ends with the last task that runs, or when what its tasks did is undone: `state` tells). A run that is being cancelled may be cancelled again, with
/// another `running`. `cancelled` survives a crash.
///
/// Errors: 22004, 22023.
///
/// Locks: the run FOR UPDATE, then its tasks in flight (with `leave` those that do not run) FOR UPDATE in the order of their ids, waiting for each;
/// then as task_finalize.
#[pg_extern(volatile, parallel_unsafe)]
fn workflow_cancel(
    run_id: Option<i64>,
    reason: default!(Option<Text>, "NULL"),
    running: default!(Option<Text>, "'ask'"),
) -> TableIterator<'static, (name!(outcome, String), name!(state, Option<String>))> {
    let session = access::verb(c"workflow_cancel()", &[Control]);
    let cancel = || -> Checked<(&'static str, Option<RunState>)> {
        let run_id = args::required("run_id", run_id)?;
        let reason = args::optional_word("reason", reason)?;
        let running = match args::required_word("running", running)?.as_str() {
            "ask" => Running::Ask,
            "leave" => Running::Leave,
            "force" => Running::Force,
            other => {
                return Err(
                    Misuse::bad_value(format!("argument \"running\" is \"{other}\""))
                        .detail("It must be ask, leave or force."),
                );
            }
        };
        Ok(cancel(&session, run_id, reason.as_deref(), running))
    };
    let (outcome, state) = answer(cancel());
    TableIterator::once((
        outcome.to_owned(),
        state.map(|state| state.name().to_owned()),
    ))
}

/// What becomes of what runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Running {
    Ask,
    Leave,
    Force,
}

fn cancel(
    session: &Session,
    run_id: i64,
    reason: Option<&str>,
    running: Running,
) -> (&'static str, Option<RunState>) {
    let Some(held) = run::control(session, run_id) else {
        return ("not_found", None);
    };
    if held.state.is_terminal() {
        return ("terminal", Some(held.state));
    }
    if held.state == RunState::Compensating {
        return ("compensating", Some(held.state));
    }
    xact::force_id();
    xact::make_durable();
    let first = next_run(held.state, RunEvent::Cancel).is_some();
    let up_to = if running == Running::Leave {
        State::Ready
    } else {
        State::Running
    };
    run::lock_tasks(session, run_id, up_to);
    let role = session.caller().name();
    run::set_state(session, run_id, RunState::Cancelling, held.on_error, reason);
    if first {
        let names = step::end_waiting(session, run_id, None);
        let held = run::hold(session, run_id).expect("it is locked by this transaction");
        let mut moving = Moving::new(session, held);
        moving.event("cancel_requested", json!({"reason": reason, "role": role}));
        for name in names {
            moving.event(
                "step_finalized",
                json!({"step": name, "state": "cancelled"}),
            );
        }
        moving.write_events();
    }
    let force = running == Running::Force;
    let (left, forgotten) = runs::end_unstarted(session, run_id, "run_cancelled", false, force);
    if !force {
        let reason = reason.unwrap_or("run_cancelled");
        run::request_cancel(
            session,
            run_id,
            Some(reason),
            &role,
            running == Running::Ask,
        );
    }
    advance::after_cancel(session, left, &forgotten);
    let held = run::hold(session, run_id).expect("it is locked by this transaction");
    let mut moving = Moving::new(session, held);
    moving.go();
    match moving.state() {
        RunState::Cancelled => ("cancelled", Some(RunState::Cancelled)),
        state => ("cancel_requested", Some(state)),
    }
}
