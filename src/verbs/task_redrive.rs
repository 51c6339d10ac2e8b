use super::access;
use super::args::{self, Checked, answer};
use super::{runs, slots};
use crate::model::access::Capability::Control;
use crate::model::run::RunState;
use crate::model::state::State;
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::{lock, xact};
use crate::store::{queue, redrive, run, step, task};
use pgrx::prelude::*;
use std::collections::BTreeSet;

/// Does a task again that ended badly: a new task in the same queue, with its payload, name, priority and metadata, without a key and
/// with clean counts, linked to the old one (`redrive_of`), which stays as it is.
///
/// Arguments: `task_id`.
///
/// Outcomes: `not_found`, `not_terminal`, `completed` (there is nothing to redrive), `already_redriven` (the same new task
/// again), `run_terminal`, `run_not_paused` (a task of a run has its place there: it is redriven only while the run is
/// paused at on_error, and before anything has followed from the end of its step), `redriven`.
///
/// Errors: 22004, 42704 (its queue was dropped).
///
/// Locks: the ended task FOR KEY SHARE, against a purge; waits for another transaction that redrives it. In a run then the run FOR UPDATE,
/// waiting for who moves it on, and the task's counter and step.
#[pg_extern(volatile, parallel_unsafe)]
fn task_redrive(
    task_id: Option<i64>,
) -> TableIterator<'static, (name!(outcome, String), name!(task_id, Option<i64>))> {
    let session = access::verb(c"task_redrive()", &[Control]);
    let redrive = || -> Checked<(&'static str, Option<i64>)> {
        redrive(&session, args::required("task_id", task_id)?)
    };
    let (outcome, task_id) = answer(redrive());
    TableIterator::once((outcome.to_owned(), task_id))
}

fn redrive(session: &Session, task_id: i64) -> Checked<(&'static str, Option<i64>)> {
    xact::force_id();
    let Some(ended) = task::hold_ended(session, task_id) else {
        return Ok(match task::find(session, task_id) {
            None => ("not_found", None),
            Some(_) => ("not_terminal", None),
        });
    };
    if ended.state == State::Completed {
        return Ok(("completed", None));
    }
    if let Some(new) = redrive::find(session, task_id) {
        return Ok(("already_redriven", Some(new)));
    }
    if ended.in_run {
        return redrive_in_run(session, task_id, ended.queue_id);
    }
    lock::hold_queue(ended.queue_id);
    if let Some(name) = queue::dropped(session, ended.queue_id) {
        return Err(Misuse::no_queue(&name));
    }
    Ok(match again(session, vec![task_id]).pop() {
        Some((_, new)) => ("redriven", Some(new)),
        None => ("already_redriven", redrive::find(session, task_id)),
    })
}

/// New tasks for those that nobody has redriven yet: (old, new).
pub fn again(session: &Session, task_ids: Vec<i64>) -> Vec<(i64, i64)> {
    let redriven = redrive::insert(session, task_ids);
    let lines: BTreeSet<(i64, i32)> = redriven
        .iter()
        .filter_map(|task| task.waits_for.map(|slot_key| (slot_key, task.queue_id)))
        .collect();
    for (slot_key, queue_id) in lines {
        slots::line_up(session, slot_key, queue_id);
    }
    redriven.iter().map(|task| (task.old, task.new)).collect()
}

/// In a run that is paused because of it the new task takes the old one's place: its step, its item, its counters.
fn redrive_in_run(
    session: &Session,
    task_id: i64,
    queue_id: i32,
) -> Checked<(&'static str, Option<i64>)> {
    let Some((run_id, state, over)) = redrive::run_of(session, task_id) else {
        return Ok(("not_found", None)); // It was purged meanwhile.
    };
    // A run without a definition is over when all its tasks are.
    if state.is_terminal() || over {
        return Ok(("run_terminal", None));
    }
    let held = run::exclude(session, run_id, None).and_then(|_| run::hold(session, run_id));
    let Some(held) = held else {
        return Ok(("not_found", None)); // It was purged meanwhile.
    };
    if held.state.is_terminal() {
        return Ok(("run_terminal", None));
    }
    let paused =
        held.state == RunState::Paused && held.checkpoint.as_deref() == Some(runs::ON_ERROR);
    if !paused {
        return Ok(("run_not_paused", None));
    }
    lock::hold_queue(queue_id);
    if let Some(name) = queue::dropped(session, queue_id) {
        return Err(Misuse::no_queue(&name));
    }
    let Some(redriven) = redrive::insert_in_run(session, task_id) else {
        return Ok(match redrive::find(session, task_id) {
            Some(new) => ("already_redriven", Some(new)),
            None => ("run_not_paused", None),
        });
    };
    let had_failed =
        redriven.state == State::Compensated && redriven.first != Some(State::Cancelled);
    let (step_id, shard) = (redriven.step_id, redriven.shard);
    if step::count_up(session, step_id, shard, redriven.state, had_failed) {
        step::open_again(session, redriven.step_id);
    }
    run::forget_failure(session, run_id, task_id);
    Ok(("redriven", Some(redriven.task_id)))
}
