//! What the model remembers beside the tables, and what the contract says about it: which answer a call
//! deserves, and how the counts must stand. Written from the contract, and on purpose without `src/model`: what the
//! extension's rules answer is compared with this.

use super::task::{LEASES, Reason, Task};
use super::{Call, Lifecycle};
use crate::model::ending::OnLost;
use crate::model::state::State;
use crate::words::Word;

/// What became of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    NotGranted,
    Current,
    /// Its holder ended the task, with these values.
    EndedByHolder(State, Reason),
    /// Its holder reported that the attempt failed, and there will be another one.
    Retried,
    Released,
    /// It expired, or its owner is dead; `counted`: as a loss.
    Lost {
        counted: bool,
    },
    /// Others ended it, and the attempt counts.
    Used,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    pub owner: u8,
    pub token: u8,
    /// Until when its holder was told that it has the lease.
    pub until: u8,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct History {
    pub leases: [Lease; LEASES],
    /// The lease that the row holds, or held when it ended: an index and 1, or 0.
    pub holder: u8,
    /// Somebody was answered `cancelled`.
    pub told_cancelled: bool,
}

/// How a lost lease must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Requeued { counted: bool },
    Retried,
    Ends(State),
}

impl History {
    pub fn new() -> History {
        History {
            leases: [Lease {
                owner: 0,
                token: 0,
                until: 0,
                fate: Fate::NotGranted,
            }; LEASES],
            holder: 0,
            told_cancelled: false,
        }
    }

    pub fn granted(&self) -> usize {
        let granted = |lease: &&Lease| lease.fate != Fate::NotGranted;
        self.leases.iter().filter(granted).count()
    }

    pub fn grant(&mut self, owner: u8, token: u8, until: u8) {
        let index = self.granted();
        self.leases[index] = Lease {
            owner,
            token,
            until,
            fate: Fate::Current,
        };
        self.holder = index as u8 + 1;
    }

    pub fn current(&mut self) -> Option<&mut Lease> {
        match self.holder {
            0 => None,
            holder => Some(&mut self.leases[holder as usize - 1]),
        }
    }

    /// The holder is told so.
    pub fn promise(&mut self, until: u8) {
        if let Some(lease) = self.current() {
            lease.until = until;
        }
    }

    /// The row's lease ends so.
    pub fn settle(&mut self, fate: Fate) {
        if let Some(lease) = self.current()
            && lease.fate == Fate::Current
        {
            lease.fate = fate;
        }
    }

    /// How many of these leases count as attempts, and how many as lost.
    pub fn counts(&self) -> (u8, u8) {
        let mut counts = (0, 0);
        for lease in &self.leases {
            match lease.fate {
                Fate::NotGranted | Fate::Released | Fate::Lost { counted: false } => {}
                Fate::Lost { counted: true } => counts.1 += 1,
                Fate::Current | Fate::EndedByHolder(..) | Fate::Retried | Fate::Used => {
                    counts.0 += 1
                }
            }
        }
        counts
    }

    pub fn live(&self, now: u8) -> usize {
        let live = |lease: &&Lease| lease.fate == Fate::Current && lease.until > now;
        self.leases.iter().filter(live).count()
    }
}

/// Contract, section 2: what a lost lease does. `own`: its owner takes it again.
pub fn lost(config: &Lifecycle, task: &Task, own: bool, timed_out: bool) -> Lost {
    let (used, lost) = task.history.counts();
    let must_not_run_twice = config.on_lost == OnLost::Fail
        || config.on_lost == OnLost::RequeueUnstarted && task.started;
    if task.cancel_requested {
        Lost::Ends(State::Cancelled)
    } else if must_not_run_twice || timed_out && used >= config.max_attempts {
        Lost::Ends(State::Failed)
    } else if timed_out {
        Lost::Retried
    } else if own || config.on_lost == OnLost::RequeueUnstarted {
        Lost::Requeued { counted: false }
    } else if lost + 1 >= config.max_lost_leases {
        Lost::Ends(State::Quarantined)
    } else {
        Lost::Requeued { counted: true }
    }
}

/// The answer that a call deserves which looks at the task now.
pub fn deserved(config: &Lifecycle, task: &Task, call: &Call, now: u8) -> Word {
    let terminal = task.state.is_terminal();
    let refused = if terminal {
        Word::Terminal
    } else {
        Word::LeaseLost
    };
    let lease = call
        .holder()
        .and_then(|holder| holder.lease_of(task, call.task()));
    let fate = lease.map_or(Fate::NotGranted, |lease| lease.fate);
    let until = lease.map_or(0, |lease| lease.until);
    let (used, _) = task.history.counts();
    let current = fate == Fate::Current;
    match *call {
        Call::AcquireInLine { .. } if task.running() => {
            match lost(config, task, false, config.timed_out(task)) {
                Lost::Requeued { .. } => Word::Leased,
                _ => Word::NoRow,
            }
        }
        Call::AcquireInLine { .. } => Word::Leased,
        Call::AcquireById { owner, .. } => {
            let waits = task.state == State::Scheduled && task.run_at > now;
            let held = task.running() && task.expires_at > now;
            if terminal {
                Word::Terminal
            } else if held {
                Word::Held
            } else if waits {
                Word::NotReady
            } else if task.running() {
                match lost(config, task, task.owner == owner, config.timed_out(task)) {
                    Lost::Ends(_) => Word::Terminal,
                    // It is tried again later.
                    Lost::Retried => Word::NotReady,
                    Lost::Requeued { .. } => Word::Acquired,
                }
            } else {
                Word::Acquired
            }
        }
        Call::Start { .. } if current && until <= now => Word::LeaseExpired,
        Call::Start { .. } if current && task.started => Word::AlreadyStarted,
        Call::Start { .. } if current => Word::Started,
        Call::Heartbeat { .. } if current && until <= now => Word::LeaseExpired,
        Call::Heartbeat { .. } if current => {
            if config.expiry(task.leased_at, now, config.beat_ttl) > until {
                Word::Extended
            } else {
                Word::NotExtended
            }
        }
        Call::Finalize { .. } if current => Word::Finalized,
        Call::Finalize { state, .. } => match fate {
            Fate::EndedByHolder(as_state, why) if (as_state, why) == (state, reported(state)) => {
                Word::AlreadyFinalized
            }
            Fate::EndedByHolder(..) => Word::AlreadyFinalizedDifferently,
            _ => refused,
        },
        Call::FailAttempt { .. } if current => {
            if task.cancel_requested || used >= config.max_attempts {
                Word::Finalized
            } else {
                Word::RetryScheduled
            }
        }
        Call::FailAttempt { .. } => match fate {
            Fate::Retried => Word::RetryScheduled,
            // What a report of a failure would have ended it with; a worker that said so by finalize
            // cannot be told apart, nor need it be.
            Fate::EndedByHolder(State::Failed, Reason::AttemptsExhausted) => Word::AlreadyFinalized,
            Fate::EndedByHolder(State::Cancelled, Reason::Cancelled) if task.cancel_requested => {
                Word::AlreadyFinalized
            }
            Fate::EndedByHolder(..) => Word::AlreadyFinalizedDifferently,
            _ => refused,
        },
        Call::Release { unless_started, .. } if current => {
            if task.cancel_requested {
                Word::Cancelled
            } else if unless_started && task.started {
                Word::Started
            } else {
                Word::Released
            }
        }
        Call::Release { .. } => match fate {
            Fate::Released => Word::Released,
            Fate::EndedByHolder(State::Cancelled, _) if task.cancel_requested => Word::Cancelled,
            _ => refused,
        },
        Call::Append { .. } if terminal => Word::DroppedAfterFinal,
        Call::Append { by: None, .. } => Word::Appended,
        Call::Append { .. } if current => Word::Appended,
        Call::RequireLease { .. } if current && until > now => Word::Passed,
        Call::RequireLease { .. } => Word::Raised,
        Call::Cancel { .. } if terminal => Word::Terminal,
        Call::Cancel { force: false, .. } if task.running() => Word::CancelRequested,
        Call::Cancel { .. } => Word::Cancelled,
        Call::Reap { .. } if !task.expired(now) => Word::NoRow,
        Call::Reap { .. } | Call::ReapOwner { .. } => {
            let timed_out = config.timed_out(task) && task.expired(now);
            match lost(config, task, false, timed_out) {
                Lost::Requeued { .. } | Lost::Retried => Word::Requeued,
                Lost::Ends(State::Failed) => Word::Failed,
                Lost::Ends(State::Quarantined) => Word::Quarantined,
                Lost::Ends(_) => Word::Cancelled,
            }
        }
        Call::Append { .. } | Call::Start { .. } | Call::Heartbeat { .. } => refused,
    }
}

/// The reason that a finalize gives which names none.
pub fn reported(state: State) -> Reason {
    if state == State::Cancelled {
        Reason::Cancelled
    } else {
        Reason::None
    }
}
