//! What ends a lease without a finalize: it expired, its attempt failed, or it was given back.

use super::state::State;

/// What a queue does with a lost lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLost {
    Requeue,
    RequeueUnstarted,
    Fail,
}

impl OnLost {
    pub const ALL: [OnLost; 3] = [OnLost::Requeue, OnLost::RequeueUnstarted, OnLost::Fail];

    pub fn name(self) -> &'static str {
        match self {
            OnLost::Requeue => "requeue",
            OnLost::RequeueUnstarted => "requeue_unstarted",
            OnLost::Fail => "fail",
        }
    }

    pub fn parse(name: &str) -> Option<OnLost> {
        OnLost::ALL
            .into_iter()
            .find(|on_lost| on_lost.name() == name)
    }
}

/// What the decision looks at: the task as it stands under its lock, and its queue's settings.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    pub attempt: i32,
    pub max_attempts: i32,
    pub lost_leases: i32,
    pub max_lost_leases: i32,
    pub started: bool,
    pub cancel_requested: bool,
    /// The lease reached the queue's `max_runtime`: heartbeats could not have saved it.
    pub timed_out: bool,
    pub on_lost: OnLost,
}

/// How a lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In line again at once; `counted`: the loss counts towards `max_lost_leases`.
    Requeue { counted: bool },
    /// Tried again after a delay; the attempt stays counted.
    Retry,
    /// Terminal.
    End { state: State, reason: &'static str },
}

/// The lease expired, or its owner is known to be dead.
pub fn lost(lease: &Lease) -> Ending {
    if lease.cancel_requested {
        return Ending::End {
            state: State::Cancelled,
            reason: "cancelled",
        };
    }
    if lease.timed_out {
        return match failed_attempt(lease) {
            Ending::End { state, .. } => Ending::End {
                state,
                reason: "timed_out",
            },
            other => other,
        };
    }
    match lease.on_lost {
        OnLost::Fail => {
            return Ending::End {
                state: State::Failed,
                reason: "lease_lost",
            };
        }
        OnLost::RequeueUnstarted if lease.started => {
            return Ending::End {
                state: State::Failed,
                reason: "lease_lost",
            };
        }
        OnLost::RequeueUnstarted => return Ending::Requeue { counted: false },
        OnLost::Requeue => {}
    }
    if lease.lost_leases + 1 >= lease.max_lost_leases {
        Ending::End {
            state: State::Quarantined,
            reason: "lost_leases",
        }
    } else {
        Ending::Requeue { counted: true }
    }
}

/// The lease expired and its own owner takes it again: as above, but that counts as no loss.
pub fn retaken(lease: &Lease) -> Ending {
    match lost(&Lease {
        max_lost_leases: i32::MAX,
        ..*lease
    }) {
        Ending::Requeue { .. } => Ending::Requeue { counted: false },
        ending => ending,
    }
}

/// The worker reports that the attempt failed.
pub fn failed_attempt(lease: &Lease) -> Ending {
    if lease.cancel_requested {
        Ending::End {
            state: State::Cancelled,
            reason: "cancelled",
        }
    } else if lease.attempt >= lease.max_attempts {
        Ending::End {
            state: State::Failed,
            reason: "attempts_exhausted",
        }
    } else {
        Ending::Retry
    }
}
