use super::access;
use super::advance;
use super::args::{self, Checked, answer};
use super::runs::{self, Moving};
use super::{items, slots};
use crate::model::access::Capability::Control;
use crate::model::run::{OnError, RunEvent, RunState, StepState, next_run};
use crate::model::state::State;
use crate::pg::datum::{Jsonb, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::{run, step};
use pgrx::prelude::*;
use serde_json::json;

/// Pauses a run at a checkpoint: an acquire that starts after this has committed grants nothing in it. What runs may finish, and
/// changes nothing but its own state and its group's counters: nothing is dispatched, skipped or ended until workflow_resume.
///
/// Arguments: `run_id`; `checkpoint` (1 to 255 bytes; not on_error, which is the functions' own); `detail` (JSON, kept until it is resumed).
///
/// Outcomes: `not_found`, `terminal` (or on its way there: cancelled, or failed with on_error fail), `already_paused` (at whatever
/// checkpoint; nothing is changed), `paused`.
///
/// Errors: 22004, 22023, 54000 (detail too large).
///
/// Locks: the run FOR UPDATE, waiting for who moves it on; its tasks in line FOR UPDATE SKIP LOCKED: it waits for no task.
#[pg_extern(volatile, parallel_unsafe)]
fn workflow_pause(
    run_id: Option<i64>,
    checkpoint: Option<Text>,
    detail: default!(Option<Jsonb>, "NULL"),
) -> String {
    let session = access::verb(c"workflow_pause()", &[Control]);
    let pause = || -> Checked<&'static str> {
        let run_id = args::required("run_id", run_id)?;
        let checkpoint = args::required_word("checkpoint", checkpoint)?;
        let detail = args::json("detail", detail)?;
        if checkpoint == runs::ON_ERROR {
            return Err(Misuse::bad_value("argument \"checkpoint\" is \"on_error\"")
                .detail("A run is paused there when one of its tasks fails."));
        }
        let Some(held) = run::control(&session, run_id) else {
            return Ok("not_found");
        };
        if held.state == RunState::Paused {
            return Ok("already_paused");
        }
        if next_run(held.state, RunEvent::Pause).is_none() {
            return Ok("terminal");
        }
        let mut moving = Moving::new(&session, held);
        moving.pause(&checkpoint, detail);
        moving.write_events();
        Ok("paused")
    };
    answer(pause()).to_owned()
}

/// Lets a paused run go on, and does all that has become due: what has ended has its consequences now, what was blocked gets
/// in line again. After on_error it goes on as if on_error were continue.
///
/// Arguments: `run_id`; `checkpoint` (the one it is paused at).
///
/// Outcomes: `not_found`, `terminal`, `not_paused`, `checkpoint_mismatch` (nothing is changed), `resumed` (it may be paused again
/// at once, if what was due leads to another checkpoint, or a task failed meanwhile).
///
/// Errors: 22004, 22023; 40001 (in a transaction with a fixed snapshot that does not show what is due).
///
/// Locks: the run FOR UPDATE, waiting; then its scheduled and blocked tasks FOR UPDATE, in the order of their ids, waiting; then counters and
/// steps.
#[pg_extern(volatile, parallel_unsafe)]
fn workflow_resume(run_id: Option<i64>, checkpoint: Option<Text>) -> String {
    let session = access::verb(c"workflow_resume()", &[Control]);
    let resume = || -> Checked<&'static str> {
        let run_id = args::required("run_id", run_id)?;
        let checkpoint = args::required_word("checkpoint", checkpoint)?;
        resume(&session, run_id, &checkpoint)
    };
    answer(resume()).to_owned()
}

fn resume(session: &Session, run_id: i64, checkpoint: &str) -> Checked<&'static str> {
    xact::force_id();
    let Some(mut held) = run::control(session, run_id) else {
        return Ok("not_found");
    };
    if held.state.is_terminal() {
        return Ok("terminal");
    }
    if held.state != RunState::Paused {
        return Ok("not_paused");
    }
    if held.checkpoint.as_deref() != Some(checkpoint) {
        return Ok("checkpoint_mismatch");
    }
    if xact::has_fixed_snapshot() && run::is_hidden(session, run_id) {
        return Err(Misuse::not_serializable());
    }
    run::lock_tasks(session, run_id, State::Blocked);
    if checkpoint == runs::ON_ERROR {
        held.on_error = Some(OnError::Continue);
    }
    held.state = next_run(held.state, RunEvent::Resume).expect("a paused run may be resumed");
    held.checkpoint = None;
    // What failed while it was paused elsewhere stops it, or pauses it again, before anything gets in line.
    let failed = run::take_failed(session, run_id);
    let stops = failed.is_some() && held.on_error == Some(OnError::Fail);
    if stops {
        held.state = next_run(held.state, RunEvent::Fail).expect("a running run may fail");
    }
    run::set_state(session, run_id, held.state, held.on_error, None);
    let resumed = json!({"checkpoint": checkpoint}).to_string();
    run::append(
        session,
        run_id,
        vec![("resumed", Jsonb::from_text(&resumed))],
    );
    let pauses = failed.filter(|_| held.on_error == Some(OnError::Pause));
    let ready = if stops {
        let (left, forgotten) = runs::end_unstarted(session, run_id, "run_cancelled", true, false);
        advance::after_cancel(session, left, &forgotten);
        line_up(session, run_id) // handlers of failures
    } else if pauses.is_some() {
        Vec::new()
    } else {
        line_up(session, run_id)
    };
    let Some(held) = run::hold(session, run_id).filter(|held| !held.state.is_terminal()) else {
        return Ok("resumed"); // It has ended with its last task.
    };
    let mut moving = Moving::new(session, held);
    if let Some(failed) = pauses {
        moving.pause_failed(failed);
    }
    moving.ready = ready;
    moving.look_at_all = true;
    moving.go();
    Ok("resumed")
}

/// What was blocked because the run was paused gets in line again; returns what is ready. Its tasks are locked.
fn line_up(session: &Session, run_id: i64) -> Vec<i64> {
    let keys = run::resume_keys(session, run_id);
    run::resume_tasks(session, run_id);
    let mut ready = slots::line_up_all(session, &keys);
    for step in step::of_run(session, run_id, None) {
        if step.state == StepState::Running {
            ready.extend(items::next_batch_if_dry(session, step.step_id));
        }
    }
    ready
}
