//! The machine: one `match`. What is not listed is illegal.

use super::state::State;
use std::fmt;

/// What can happen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// `run_at` has come.
    Due,
    /// It must wait for a slot, for predecessors, or for a paused run.
    Block,
    /// What it waited for is there.
    Unblock,
    /// A worker takes the lease.
    Acquire,
    /// The lease is given up, or lost, or its attempt failed: it gets in line again at once.
    Requeue,
    /// The same, with a delay.
    Postpone,
    /// A worker reports the work as done.
    Complete,
    /// The work has failed for good.
    Fail,
    /// Somebody called it off.
    Cancel,
    /// It kills its workers, or a compensation gave up.
    Quarantine,
    /// It failed or was cancelled with compensations registered: they run now.
    Compensate,
    /// All compensations are done.
    Compensated,
}

impl Event {
    pub const ALL: [Event; 12] = [
        Event::Due,
        Event::Block,
        Event::Unblock,
        Event::Acquire,
        Event::Requeue,
        Event::Postpone,
        Event::Complete,
        Event::Fail,
        Event::Cancel,
        Event::Quarantine,
        Event::Compensate,
        Event::Compensated,
    ];
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Event::Due => "due",
            Event::Block => "block",
            Event::Unblock => "unblock",
            Event::Acquire => "acquire",
            Event::Requeue => "requeue",
            Event::Postpone => "postpone",
            Event::Complete => "complete",
            Event::Fail => "fail",
            Event::Cancel => "cancel",
            Event::Quarantine => "quarantine",
            Event::Compensate => "compensate",
            Event::Compensated => "compensated",
        })
    }
}

/// An event that the state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Illegal {
    pub state: State,
    pub event: Event,
}

/// The state after `event`.
pub fn next(state: State, event: Event) -> Result<State, Illegal> {
    use Event::*;
    use State::*;
    Ok(match (state, event) {
        (Scheduled, Due) => Ready,
        (Scheduled | Ready | Running, Block) => Blocked,
        (Blocked, Unblock) => Ready,
        (Ready, Acquire) => Running,
        (Running, Requeue) => Ready,
        (Running, Postpone) => Scheduled,
        (Scheduled | Blocked | Ready | Running, Cancel) => Cancelled,
        (Running, Event::Complete) => Completed,
        (Running, Fail) => Failed,
        (Running, Quarantine) => Quarantined,
        // What is not running may have been at work before.
        (Scheduled | Blocked | Ready | Running, Compensate) => Compensating,
        (Compensating, Event::Compensated) => State::Compensated,
        (Compensating, Quarantine) => Quarantined,
        (state, event) => return Err(Illegal { state, event }),
    })
}

/// The event that ends a task in this state; `None`: no event reported from outside does.
pub fn ending_in(state: State) -> Option<Event> {
    match state {
        State::Completed => Some(Event::Complete),
        State::Failed => Some(Event::Fail),
        State::Cancelled => Some(Event::Cancel),
        State::Quarantined => Some(Event::Quarantine),
        _ => None,
    }
}

/// Every legal move, in the order of `State::ALL` and `Event::ALL`.
pub fn moves() -> Vec<(State, Event, State)> {
    let mut moves = Vec::new();
    for state in State::ALL {
        for event in Event::ALL {
            if let Ok(to) = next(state, event) {
                moves.push((state, event, to));
            }
        }
    }
    moves
}
