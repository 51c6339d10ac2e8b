//! Which ends are undone first, and what follows when a compensation has ended.

use super::state::State;

/// Whether the work of a task that ends in this state, with compensations registered, is undone first. What its worker quarantines is
/// for people to look at; what lost its last lease is not.
pub fn is_undone(state: State, by_worker: bool) -> bool {
    match state {
        State::Failed | State::Cancelled => true,
        State::Quarantined => !by_worker,
        _ => false,
    }
}

/// What follows when a compensation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undoing {
    /// The one that was registered before it.
    Next,
    /// All is undone.
    Done,
    /// It gave up: what was registered before it is left as it is, for people to look at.
    GaveUp,
}

/// `ended`: how the last one did; `None`: none was run yet. `more`: some are left.
pub fn undoing(ended: Option<State>, more: bool) -> Undoing {
    match ended {
        None | Some(State::Completed) if more => Undoing::Next,
        None | Some(State::Completed) => Undoing::Done,
        Some(_) => Undoing::GaveUp,
    }
}
