//! Outcome words in their order of precedence, for everything that can happen to a correct program
//! that is late, duplicated or outrun.

use super::state::State;

/// What the slow path read about a task after its guarded statement matched nothing.
#[derive(Clone, Debug)]
pub struct Found {
    pub state: State,
    /// The token the row holds: of the running lease, or of the last one if the task has ended.
    pub lease_token: Option<i64>,
    /// For a terminal task: the holder of `lease_token` ended it.
    pub ended_by_lease: bool,
    /// For a running task: the lease has expired.
    pub expired: bool,
    pub started: bool,
}

impl Found {
    fn holds(&self, token: i64) -> bool {
        self.lease_token == Some(token)
    }

    fn ended_by(&self, token: i64) -> bool {
        self.state.is_terminal() && self.ended_by_lease && self.holds(token)
    }
}

/// Why a worker's verb was refused. `None`: nothing speaks against it (the world moved between the
/// statement and this look: the verb tries again).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyFinalized,
    Terminal,
    LeaseLost,
    LeaseExpired,
    AlreadyStarted,
}

impl Refusal {
    pub fn word(self) -> &'static str {
        match self {
            Refusal::NotFound => "not_found",
            Refusal::AlreadyFinalized => "already_finalized",
            Refusal::Terminal => "terminal",
            Refusal::LeaseLost => "lease_lost",
            Refusal::LeaseExpired => "lease_expired",
            Refusal::AlreadyStarted => "already_started",
        }
    }
}

/// For verbs that need a live token: heartbeat, start.
pub fn needs_live(found: Option<&Found>, token: i64) -> Option<Refusal> {
    match found {
        None => Some(Refusal::NotFound),
        Some(found) if found.state.is_terminal() => Some(Refusal::Terminal),
        Some(found) if found.state != State::Running || !found.holds(token) => {
            Some(Refusal::LeaseLost)
        }
        Some(found) if found.expired => Some(Refusal::LeaseExpired),
        Some(_) => None,
    }
}

/// For verbs that need a current token, expired or not: fail_attempt, release.
pub fn needs_current(found: Option<&Found>, token: i64) -> Option<Refusal> {
    match needs_live(found, token) {
        Some(Refusal::LeaseExpired) => None,
        refusal => refusal,
    }
}

/// For `task_finalize` and `task_fail_attempt`: as above, and the replay of the call that ended it.
pub fn needs_current_or_replay(found: Option<&Found>, token: i64) -> Option<Refusal> {
    match found {
        Some(found) if found.ended_by(token) => Some(Refusal::AlreadyFinalized),
        found => needs_current(found, token),
    }
}

/// For `task_start`.
pub fn may_start(found: Option<&Found>, token: i64) -> Option<Refusal> {
    match (needs_live(found, token), found) {
        (None, Some(found)) if found.started => Some(Refusal::AlreadyStarted),
        (refusal, _) => refusal,
    }
}
