//! What acquire and reap do for tasks that nobody else looks after: leases that ran out, scheduled tasks
//! whose time has come, and work that others left.

use super::advance::Left;
use super::{compensations, slots};
use crate::model::backoff;
use crate::model::ending::{self, Ending};
use crate::model::limits;
use crate::model::run::RunState;
use crate::model::saga;
use crate::model::state::State;
use crate::model::transition::{self, Event};
use crate::pg::datum::{Instant, Jsonb};
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::lease::{self, Due, GivenBack, Locked, Report};
use crate::store::{run, step, task};
use pgrx::datum::Interval;

/// Waits for the lock of a live task; else the state in which it ended, `None` if there is no such task.
pub fn lock_live(session: &Session, task_id: i64) -> Result<Locked, Option<State>> {
    loop {
        if let Some(task) = lease::lock_by_id(session, task_id) {
            return Ok(task);
        }
        match task::find(session, task_id).map(|standing| standing.found.state) {
            // It was created between the two statements.
            Some(state) if !state.is_terminal() => {}
            ended => return Err(ended),
        }
    }
}

/// What became of a task whose lease ran out.
pub struct Swept {
    pub task_id: i64,
    pub state: State,
}

impl Swept {
    /// The outcome word of a reap.
    pub fn outcome(&self) -> &'static str {
        match self.state {
            State::Ready | State::Scheduled | State::Blocked => "requeued",
            state => state.name(),
        }
    }
}

/// Settles leases of these queues that ran out, each re-checked under its lock, while `room` (told what was
/// settled so far) wants more; those that heartbeats have extended are looked at again when they run out. What must
/// be advanced afterwards is noted in `left`. Bounded: the rest is still overdue for whoever comes next.
pub fn sweep(
    session: &Session,
    queues: &[(&str, i32)],
    room: impl Fn(&[Swept]) -> i32,
    left: &mut Vec<Left>,
) -> Vec<Swept> {
    let mut swept = Vec::new();
    for (queue, queue_id) in queues {
        xact::force_id();
        lease::touch_overdue(session, queue, *queue_id);
        for _ in 0..limits::SWEEP {
            let room = room(&swept);
            if room <= 0 {
                break;
            }
            let expired = lease::lock_overdue(session, queue, *queue_id, room);
            if expired.is_empty() {
                break;
            }
            xact::make_durable();
            for task in expired {
                let state = settle(session, &task, ending::lost(&task.lease), left);
                swept.push(Swept {
                    task_id: task.task_id,
                    state,
                });
            }
        }
    }
    swept
}

/// Carries out how a lease of a locked, running task ends; returns the task's state, and
/// notes in `left` what must be advanced afterwards.
pub fn settle(session: &Session, task: &Locked, ending: Ending, left: &mut Vec<Left>) -> State {
    match ending {
        Ending::Requeue { counted } => {
            let how = GivenBack {
                used: false,
                loss_counted: counted,
                delay: Interval::from_micros(0),
                event: "lease_lost",
                error: None,
                by_lease: false,
            };
            postpone(session, task, &how, left).0
        }
        Ending::Retry => {
            let error = Jsonb::from_text(r#"{"message": "timed_out"}"#);
            let delay = retry_delay(task);
            let how = GivenBack {
                used: true,
                loss_counted: false,
                event: "retry_scheduled",
                delay,
                error: Some(error),
                by_lease: false,
            };
            postpone(session, task, &how, left).0
        }
        Ending::End {
            state,
            reason,
            lost,
        } => {
            let state = ended(task.state, state);
            let reason = match (state, &task.cancel_reason) {
                (State::Cancelled, Some(reason)) => reason.as_str(),
                _ => reason,
            };
            let how = if lost { End::Lost } else { End::ByOthers };
            end(session, task, how, &Report::because(state, reason), left)
        }
    }
}

/// Who ends a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The holder of its lease: a replay is answered as such.
    ByLease,
    /// Nobody: its lease was lost, and with it the attempt.
    Lost,
    ByOthers,
}

/// Ends a locked task, or has its work undone first, and notes in `left` what must be advanced afterwards; returns its state.
pub fn end(
    session: &Session,
    task: &Locked,
    how: End,
    report: &Report,
    left: &mut Vec<Left>,
) -> State {
    let (by_lease, lost) = (how == End::ByLease, how == End::Lost);
    if task.registrations > 0 && saga::is_undone(report.state, by_lease) {
        return compensations::begin(session, task, report, by_lease, lost, left);
    }
    let on_final_task_id = lease::end_task(session, task.task_id, report, by_lease, lost);
    left.push(Left {
        task_id: task.task_id,
        ended: Some(report.state),
        first: None,
        on_final_task_id,
        dispatched: None,
        place: task.place.clone(),
    });
    report.state
}

/// A task whose lease is given back gets in line again, or is scheduled (blocked, if its run is paused) and gives back its
/// slot.
pub fn postpone(
    session: &Session,
    task: &Locked,
    how: &GivenBack,
    left: &mut Vec<Left>,
) -> (State, Instant) {
    let event = if how.delay.as_micros() > 0 {
        Event::Postpone
    } else if run_is_paused(session, task.place.shard.and(task.place.step_id)) {
        Event::Block
    } else {
        Event::Requeue
    };
    let state = moved(task.state, event);
    let run_at = lease::end_lease(session, task.task_id, state, how);
    if state == State::Scheduled
        && let Some(step_id) = task.place.shard.and(task.place.step_id)
        && matches!(
            run::state_of_step(session, step_id),
            Some(RunState::Failing | RunState::Cancelling)
        )
    {
        // Its run is being called off: it does not wait for its time, but for who looks there next.
        step::insert_due_step(session, step_id);
    }
    if state != State::Ready {
        left.push(Left {
            task_id: task.task_id,
            ended: None,
            first: None,
            on_final_task_id: None,
            dispatched: None,
            place: task.place.clone(),
        });
    }
    (state, run_at)
}

/// Whether a task of a step must wait for its run to be resumed: who resumes it waits for this transaction, and sees that. If the
/// run's gate is closed, it gets in line, and whoever leases it looks again. (The state is read before the gate is held: who
/// closes it would starve behind leases that are given back in a run that is not paused.)
fn run_is_paused(session: &Session, step_id: Option<i64>) -> bool {
    step_id.is_some_and(|step_id| {
        run::state_of_step(session, step_id) == Some(RunState::Paused)
            && run::try_lock_of_step(session, step_id)
                .is_some_and(|(_, state)| state == RunState::Paused)
    })
}

/// The state after a move that the verb has found to be legal.
pub fn moved(state: State, event: Event) -> State {
    transition::next(state, event).unwrap_or_else(|illegal| panic!("{illegal:?}"))
}

/// The same for a move that ends the task.
pub fn ended(from: State, to: State) -> State {
    moved(
        from,
        transition::ending_in(to).expect("somebody ends tasks in this state"),
    )
}

/// The queue's backoff for the attempt that has just failed.
pub fn retry_delay(task: &Locked) -> Interval {
    let micros = |interval: Interval| interval.as_micros() as i64;
    Interval::from_micros(backoff::delay(
        micros(task.backoff_base),
        micros(task.backoff_max),
        task.lease.attempt,
        xact::random(),
    ))
}

/// Makes scheduled tasks of a queue ready whose time has come, oldest first, bounded.
pub fn promote(session: &Session, queue: &str, queue_id: i32) {
    xact::force_id();
    for due in lease::promote(session, queue, queue_id, limits::SWEEP) {
        promote_in_run(session, queue_id, &due);
    }
}

/// A scheduled task of a run or with slot keys, due and locked: it takes its slots and is ready, gets in line for one, or waits for its run to be
/// resumed; returns its state.
pub fn promote_in_run(session: &Session, queue_id: i32, due: &Due) -> State {
    if run_is_paused(session, due.step_id) {
        lease::make_waiting(session, due.task_id, None);
        return moved(State::Scheduled, Event::Block);
    }
    if due.slot_keys.is_empty() {
        lease::make_ready(session, due.task_id);
    } else if !slots::enter(session, due.task_id, queue_id, &due.slot_keys) {
        return moved(State::Scheduled, Event::Block);
    }
    moved(State::Scheduled, Event::Due)
}
