//! Where a task is. The numbers are what the tables store: terminal states are a range, so that a
//! constraint or an index predicate is one comparison.

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum State {
    Scheduled = 0,
    Blocked = 1,
    Ready = 2,
    Running = 3,
    Compensating = 4,
    Completed = 10,
    Failed = 11,
    Cancelled = 12,
    Compensated = 13,
    Quarantined = 14,
}

impl State {
    pub const ALL: [State; 10] = [
        State::Scheduled,
        State::Blocked,
        State::Ready,
        State::Running,
        State::Compensating,
        State::Completed,
        State::Failed,
        State::Cancelled,
        State::Compensated,
        State::Quarantined,
    ];

    /// The states a worker may give to `task_finalize`.
    pub const REPORTABLE: [State; 4] = [
        State::Completed,
        State::Failed,
        State::Cancelled,
        State::Quarantined,
    ];

    pub fn name(self) -> &'static str {
        match self {
            State::Scheduled => "scheduled",
            State::Blocked => "blocked",
            State::Ready => "ready",
            State::Running => "running",
            State::Compensating => "compensating",
            State::Completed => "completed",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Compensated => "compensated",
            State::Quarantined => "quarantined",
        }
    }

    pub fn parse(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }

    pub fn code(self) -> i16 {
        self as i16
    }

    pub fn from_code(code: i16) -> Option<State> {
        State::ALL.into_iter().find(|state| state.code() == code)
    }

    pub fn is_terminal(self) -> bool {
        self >= State::Completed
    }
}
