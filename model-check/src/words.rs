//! The functions of the extension, the words they answer, and which of these some reachable state has heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &[$name] = &[$($name::$variant),+];

            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }
    };
}

words! {
    /// Who answers; `State`, `Join`, `Run` and `Slots` are for what is reached beside answers.
    Verb {
        AcquireLease = "task_acquire_lease",
        AcquireLeaseById = "task_acquire_lease_by_id",
        Start = "task_start",
        Heartbeat = "task_heartbeat",
        Finalize = "task_finalize",
        FailAttempt = "task_fail_attempt",
        Release = "task_release",
        AppendEvent = "task_append_event",
        RequireLease = "task_require_lease",
        Cancel = "task_cancel",
        Reap = "task_reap",
        ReapOwner = "task_reap_owner",
        DispatchSuccessor = "task_dispatch_successor",
        State = "state",
        Crash = "crash",
        Join = "join",
        Run = "run",
        Slots = "slots",
    }
}

words! {
    Word {
        AlreadyFinalized = "already_finalized",
        AlreadyFinalizedDifferently = "already_finalized_differently",
        Terminal = "terminal",
        LeaseLost = "lease_lost",
        LeaseExpired = "lease_expired",
        AlreadyStarted = "already_started",
        Started = "started",
        Extended = "extended",
        NotExtended = "not_extended",
        Finalized = "finalized",
        RetryScheduled = "retry_scheduled",
        Released = "released",
        Appended = "appended",
        DroppedAfterFinal = "dropped_after_final",
        CancelRequested = "cancel_requested",
        Held = "held",
        NotReady = "not_ready",
        Acquired = "acquired",
        Leased = "a row",
        NoRow = "no row",
        Passed = "passes",
        Raised = "raises",
        Requeued = "requeued",
        Completed = "completed",
        Failed = "failed",
        Cancelled = "cancelled",
        Quarantined = "quarantined",
        Dispatched = "dispatched",
        AlreadyDispatched = "already_dispatched",
        Waiting = "waiting",
        RunNotActive = "run_not_active",
        Undone = "undone",
        Paused = "paused",
        Resumed = "resumed",
        Skipped = "skipped",
        Redriven = "redriven",
        Blocked = "blocked",
        Taken = "taken",
        Given = "given",
        Moved = "in another line",
        Unsure = "unsure",
        Late = "looked again",
        LeftDue = "left for later",
        Kept = "kept for later",
        TakenUp = "taken up",
        Drained = "drained",
        Full = "all held",
        Unknown = "changed by others",
    }
}

/// What the reachable states have heard. It stands beside the states: words in them would make many
/// states of one, and nothing depends on what was answered.
#[derive(Clone, Default)]
pub struct Heard(Arc<[AtomicU64; 32]>);

impl Heard {
    pub fn hear(&self, verb: Verb, word: Word) {
        let (heard, bit) = (&self.0[verb as usize], 1 << word as u64);
        if heard.load(Ordering::Relaxed) & bit == 0 {
            heard.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub fn has(&self, verb: Verb, word: Word) -> bool {
        self.0[verb as usize].load(Ordering::Relaxed) & 1 << word as u64 != 0
    }

    /// Everything that was heard and is not in the list.
    pub fn beyond(&self, listed: &[(Verb, &[Word])]) -> Vec<(Verb, Word)> {
        let mut beyond = Vec::new();
        for &verb in Verb::ALL {
            for &word in Word::ALL {
                let expected = listed
                    .iter()
                    .any(|(v, words)| *v == verb && words.contains(&word));
                if self.has(verb, word) && !expected {
                    beyond.push((verb, word));
                }
            }
        }
        beyond
    }
}
