use super::access;
use super::args::{self, Checked, answer};
use super::runs::Moving;
use crate::model::access::Capability::Control;
use crate::model::run::RunState;
use crate::pg::datum::{Jsonb, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::run;
use pgrx::prelude::*;

/// Ends a run without a definition, when all its tasks have ended. (A run with one ends by itself.)
///
/// Arguments: `run_id`; `state` (completed, failed or cancelled); `result` (JSON).
///
/// Outcomes: `not_found`, `already_finalized` (in this state, with this result), `terminal` (it ended otherwise), `compensating` (it was ended otherwise, and is
/// being undone), `tasks_remaining`, `compensation_started` (it failed or was cancelled, and what its tasks did is undone before it ends; a replay is answered the
/// same), `finalized`. The last two survive a crash.
///
/// Errors: 22004, 22023 (state), 54000 (result too large), 55000 (the run has a definition, or is paused).
///
/// Locks: the run FOR UPDATE, waiting for who moves it on.
#[pg_extern(volatile, parallel_unsafe)]
fn workflow_finalize(
    run_id: Option<i64>,
    state: Option<Text>,
    result: default!(Option<Jsonb>, "NULL"),
) -> String {
    let session = access::verb(c"workflow_finalize()", &[Control]);
    let finalize = || -> Checked<&'static str> {
        let run_id = args::required("run_id", run_id)?;
        let state = match args::required_word("state", state)?.as_str() {
            "completed" => RunState::Completed,
            "failed" => RunState::Failed,
            "cancelled" => RunState::Cancelled,
            other => {
                return Err(
                    Misuse::bad_value(format!("argument \"state\" is \"{other}\""))
                        .detail("It must be completed, failed or cancelled."),
                );
            }
        };
        let result = args::json("result", result)?;
        finalize(&session, run_id, state, result)
    };
    answer(finalize()).to_owned()
}

fn finalize(
    session: &Session,
    run_id: i64,
    state: RunState,
    result: Option<Jsonb>,
) -> Checked<&'static str> {
    let Some(held) = run::control(session, run_id) else {
        return Ok("not_found");
    };
    if held.workflow_id.is_some() {
        return Err(
            Misuse::wrong_state(format!("run {run_id} has a definition"))
                .detail("It ends by itself, with its last step.")
                .hint("To end it early, use workflow_cancel."),
        );
    }
    if held.state.is_terminal() || held.state == RunState::Compensating {
        let same = run::finalized_same(session, run_id, state, result);
        return Ok(match held.state {
            RunState::Compensating | RunState::Compensated | RunState::Quarantined if same => {
                "compensation_started"
            }
            RunState::Compensating => "compensating",
            _ if same => "already_finalized",
            _ => "terminal",
        });
    }
    // What has become due, and was left, comes first: a successor that is to be dispatched.
    let mut moving = Moving::new(session, held);
    moving.go();
    if moving.state().is_terminal() {
        return Ok("terminal");
    }
    if run::has_open_step(session, run_id) {
        return Ok("tasks_remaining");
    }
    if moving.state() == RunState::Paused {
        return Err(Misuse::wrong_state(format!("run {run_id} is paused"))
            .hint("Let it go on with workflow_resume."));
    }
    xact::make_durable();
    moving.end(state, result);
    let outcome = match moving.state() {
        RunState::Compensating | RunState::Quarantined => "compensation_started",
        _ => "finalized",
    };
    moving.write_events();
    Ok(outcome)
}
