//! Work is undone: what compensations a task has registered run one after the other, last registered first, before it ends.

use super::advance::Left;
use super::overdue::moved;
use super::runs::Sequel;
use crate::model::saga::{Undoing, undoing};
use crate::model::state::State;
use crate::model::transition::Event;
use crate::pg::lock;
use crate::pg::session::Session;
use crate::store::compensation;
use crate::store::lease::{self, Locked, Report};
use crate::store::task;
use std::collections::BTreeMap;

/// A locked task with compensations registered has ended: they run first. Notes in `left` what follows from that at once.
pub fn begin(
    session: &Session,
    task: &Locked,
    report: &Report,
    by_lease: bool,
    lost: bool,
    left: &mut Vec<Left>,
) -> State {
    let state = moved(task.state, Event::Compensate);
    compensation::begin(session, task.task_id, report, by_lease, lost);
    left.push(Left {
        task_id: task.task_id,
        ended: None,
        first: Some(report.state),
        on_final_task_id: None,
        dispatched: dispatch_next(session, task.task_id),
        place: task.place.clone(),
    });
    state
}

/// The task that undoes what was registered last of what is not undone yet.
fn dispatch_next(session: &Session, task_id: i64) -> Option<i64> {
    let (compensation_id, queue_id) = compensation::next(session, task_id)?;
    lock::hold_queue(queue_id);
    Some(compensation::dispatch(
        session,
        compensation_id,
        None,
        task_id,
    ))
}

/// Compensations have ended, or others have left what follows from that (`due`: a task, and in which queue): the next one is run, or the task whose work they undid
/// ends. Their runs are told. Never waits for these tasks: who does, in the order of ids, may hold one that has begun to compensate meanwhile.
pub fn go_on(
    session: &Session,
    left: &mut Vec<Left>,
    due: &[(i64, i32)],
    sequels: &mut BTreeMap<i64, Sequel>,
) -> Vec<i64> {
    let mut owners: BTreeMap<i64, i32> = due.iter().copied().collect();
    for task in &*left {
        let (Some(_), Some(owner)) = (task.ended, task.place.compensates) else {
            continue;
        };
        let Some(of_task_id) = compensation::end(session, task.task_id) else {
            continue;
        };
        if of_task_id == owner {
            owners.insert(owner, task.place.queue_id);
        } else {
            sequels.entry(owner).or_default().undone = Some(task.place.queue_id);
        }
    }
    let mut dispatched = Vec::new();
    for (owner, queue_id) in owners {
        match lease::lock_owner(session, owner) {
            Some(task) if task.state == State::Compensating => {
                dispatched.extend(undo(session, task, left));
            }
            Some(_) => {}
            None if task::is_live(session, owner) => {
                compensation::insert_due(session, owner, queue_id);
            }
            None => {}
        }
    }
    dispatched
}

/// Undoes what a locked, compensating task did that is not undone yet: one thing, or it ends. Returns the compensation's task.
fn undo(session: &Session, task: Locked, left: &mut Vec<Left>) -> Option<i64> {
    let (under_way, last) = compensation::of_locked(session, task.task_id);
    if under_way {
        return None;
    }
    if let Some(ended) = &last {
        compensation::note(session, task.task_id, ended);
    }
    let last = last.map(|ended| ended.state);
    let next = match last {
        None | Some(State::Completed) => dispatch_next(session, task.task_id),
        Some(_) => None,
    };
    match undoing(last, next.is_some()) {
        Undoing::Next => {}
        Undoing::Done => end(session, task, Event::Compensated, left),
        Undoing::GaveUp => end(session, task, Event::Quarantine, left),
    }
    next
}

/// Ends a compensating task, with what it had come to.
fn end(session: &Session, task: Locked, event: Event, left: &mut Vec<Left>) {
    let state = moved(task.state, event);
    let first = compensation::first(session, task.task_id);
    let reason = match state {
        State::Quarantined => "compensation_failed",
        _ => first.reason.as_deref().unwrap_or("compensated"),
    };
    let report = Report {
        state,
        result: first.result,
        error: first.error,
        reason: Some(reason),
    };
    left.push(Left {
        task_id: task.task_id,
        ended: Some(state),
        first: Some(first.state),
        on_final_task_id: lease::end_task(session, task.task_id, &report, false, false),
        dispatched: None,
        place: task.place,
    });
}
