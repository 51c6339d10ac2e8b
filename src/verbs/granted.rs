//! Leases that must not be: what an acquire has just granted in runs that are paused, or being called off, is taken back.

use super::slots;
use crate::model::run::RunState;
use crate::model::state::State;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::lease::{self, Leased};
use crate::store::{run, step};
use std::collections::BTreeSet;

/// What became of leases that this transaction has just granted.
pub struct Granted {
    pub leased: Vec<Leased>,
    pub blocked: usize,
    pub in_line_again: usize,
}

/// Takes back leases that must not be: a task of a run that was paused is blocked instead, one of a run that is being called off
/// waits for its end. (Who pauses a run blocks what it finds in line, and waits for nobody; this is where the rest is found.)
pub fn check(session: &Session, mut leased: Vec<Leased>) -> Granted {
    let (mut paused, mut called_off, mut in_line_again) = (Vec::new(), Vec::new(), Vec::new());
    leased.retain(|task| {
        match standing_of_lease(session, task) {
            Standing::Stands => return true,
            Standing::Paused => paused.push(task.task_id),
            Standing::CalledOff => called_off.push(task.task_id),
            Standing::Unknown => in_line_again.push(task.task_id),
        }
        false
    });
    let steps: BTreeSet<i64> = called_off
        .iter()
        .filter_map(|task_id| step::of_live_task(session, *task_id))
        .collect();
    for step_id in steps {
        step::insert_due_step(session, step_id);
    }
    let granted = Granted {
        leased,
        blocked: paused.len() + called_off.len(),
        in_line_again: in_line_again.len(),
    };
    for (task_ids, state) in [(called_off, State::Blocked), (in_line_again, State::Ready)] {
        if !task_ids.is_empty() {
            lease::unlease(session, task_ids, state);
        }
    }
    if !paused.is_empty() {
        // (One that is called off keeps its slots until it is ended: then they are handed on.)
        let blocked = lease::unlease(session, paused, State::Blocked);
        slots::release(session, &slots::leaving(blocked));
    }
    granted
}

enum Standing {
    Stands,
    Paused,
    CalledOff,
    /// Its run is paused, or was, and the gate is closed.
    Unknown,
}

fn standing_of_lease(session: &Session, task: &Leased) -> Standing {
    let Some(run_id) = task.run_id else {
        return Standing::Stands;
    };
    let state = if xact::has_fixed_snapshot() {
        run::state_now(session, run_id)
    } else {
        task.run
    };
    match state {
        None | Some(RunState::Running) => Standing::Stands,
        Some(RunState::Paused) => match run::try_lock(session, run_id) {
            // Who resumes it waits for this transaction, and sees the task.
            Some(RunState::Paused) => Standing::Paused,
            Some(RunState::Running) => Standing::Stands,
            _ => Standing::Unknown,
        },
        Some(RunState::Failing) if step::survives(session, task.task_id) => Standing::Stands,
        Some(_) => Standing::CalledOff,
    }
}
