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
pub enum Ending<'a> {
    /// In line again at once; `counted`: the loss counts towards `max_lost_leases`.
    Requeue { counted: bool },
    /// Tried again after a delay; the attempt stays counted.
    Retry,
    /// Terminal. `lost`: with the lease the attempt was lost, too.
    End {
        state: State,
        reason: &'a str,
        lost: bool,
    },
}

/// The lease expired, or its owner is known to be dead.
pub fn lost<'a>(lease: &Lease) -> Ending<'a> {
    let end = |state, reason| Ending::End {
        state,
        reason,
        lost: true,
    };
    if lease.cancel_requested {
        return end(State::Cancelled, "cancelled");
    }
    // Such work must not run twice, whatever became of the first time.
    let only_once = match lease.on_lost {
        OnLost::Fail => true,
        OnLost::RequeueUnstarted => lease.started,
        OnLost::Requeue => false,
    };
    if lease.timed_out {
        return match failed_attempt(lease) {
            Ending::Retry if !only_once => Ending::Retry,
            _ => Ending::End {
                state: State::Failed,
                reason: "timed_out",
                lost: false,
            },
        };
    }
    if only_once {
        return end(State::Failed, "lease_lost");
    }
    if lease.on_lost == OnLost::RequeueUnstarted {
        return Ending::Requeue { counted: false };
    }
    if lease.lost_leases + 1 >= lease.max_lost_leases {
        end(State::Quarantined, "lost_leases")
    } else {
        Ending::Requeue { counted: true }
    }
}

/// The lease expired and its own owner takes it again: as above, but that counts as no loss.
pub fn retaken<'a>(lease: &Lease) -> Ending<'a> {
    match lost(&Lease {
        max_lost_leases: i32::MAX,
        ..*lease
    }) {
        Ending::Requeue { .. } => Ending::Requeue { counted: false },
        Ending::End { state, reason, .. } => Ending::End {
            state,
            reason,
            lost: false,
        },
        Ending::Retry => Ending::Retry,
    }
}

/// The worker reports that the attempt failed.
pub fn failed_attempt<'a>(lease: &Lease) -> Ending<'a> {
    let end = |state, reason| Ending::End {
        state,
        reason,
        lost: false,
    };
    if lease.cancel_requested {
        end(State::Cancelled, "cancelled")
    } else if lease.attempt >= lease.max_attempts {
        end(State::Failed, "attempts_exhausted")
    } else {
        Ending::Retry
    }
}
