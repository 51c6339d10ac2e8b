//! What is run: the lifecycle as it is built, and with each fault.

use super::{Fault, Lifecycle};
use crate::check::Expected;
use crate::model::ending::OnLost;
use crate::model::state::State;
use crate::words::{Heard, Verb, Word};

const ALL: &[Verb] = &[
    Verb::AcquireLease,
    Verb::AcquireLeaseById,
    Verb::Start,
    Verb::Heartbeat,
    Verb::Finalize,
    Verb::FailAttempt,
    Verb::Release,
    Verb::AppendEvent,
    Verb::RequireLease,
    Verb::Cancel,
    Verb::Reap,
    Verb::ReapOwner,
];

/// Two owners and one task, whose second attempt is the last and whose second lost lease is one too many.
fn base(heard: &Heard) -> Lifecycle {
    Lifecycle {
        tasks: 1,
        slots: 2,
        owners: 2,
        tokens: 2,
        leases: 2,
        clock: 3,
        ttl: 1,
        beat_ttl: 2,
        max_runtime: None,
        on_lost: OnLost::Requeue,
        max_attempts: 2,
        max_lost_leases: 2,
        events: 0,
        calls: ALL,
        reports: &[State::Completed, State::Failed],
        crashes: true,
        fault: None,
        heard: heard.clone(),
    }
}

pub type Configuration = (String, Lifecycle, Expected);

pub fn configurations(quick: bool, heard: &Heard) -> Vec<Configuration> {
    let mut all = as_built(quick, heard);
    all.extend(faults());
    all
}

fn as_built(quick: bool, heard: &Heard) -> Vec<Configuration> {
    let mut all = Vec::new();
    let mut holds = |name: String, model: Lifecycle| all.push((name, model, Expected::Holds));
    let base = base(heard);
    for on_lost in OnLost::ALL {
        let first = on_lost == OnLost::Requeue;
        // One call after the other, but more leases, and all that a worker can report.
        let one_by_one = Lifecycle {
            slots: 1,
            owners: 1,
            tokens: if quick { 2 } else { 3 },
            leases: if quick { 2 } else { 3 },
            clock: if quick { 3 } else { 4 },
            max_attempts: if quick { 2 } else { 3 },
            reports: &State::REPORTABLE,
            on_lost,
            ..base.clone()
        };
        holds(
            format!("one by one, on_lost {}", on_lost.name()),
            one_by_one,
        );
        let overlapping = Lifecycle {
            clock: if quick { 2 } else { 3 },
            owners: if quick || !first { 1 } else { 2 },
            crashes: !quick,
            on_lost,
            ..base.clone()
        };
        holds(
            format!("two overlap, on_lost {}", on_lost.name()),
            overlapping,
        );
        let with_runtime = Lifecycle {
            slots: if quick { 1 } else { 2 },
            max_runtime: Some(if quick { 1 } else { 2 }),
            owners: 1,
            on_lost,
            ..base.clone()
        };
        holds(
            format!("max_runtime, on_lost {}", on_lost.name()),
            with_runtime,
        );
    }
    holds(
        "tape".to_owned(),
        Lifecycle {
            owners: 1,
            clock: if quick { 2 } else { 3 },
            crashes: !quick,
            events: if quick { 3 } else { 5 },
            calls: &[
                Verb::AcquireLease,
                Verb::Start,
                Verb::Finalize,
                Verb::Release,
                Verb::AppendEvent,
                Verb::Cancel,
                Verb::Reap,
            ],
            ..base.clone()
        },
    );
    holds(
        "three overlap".to_owned(),
        Lifecycle {
            slots: 3,
            clock: if quick { 2 } else { 3 },
            crashes: !quick,
            calls: &[
                Verb::AcquireLease,
                Verb::AcquireLeaseById,
                Verb::Heartbeat,
                Verb::Finalize,
                Verb::RequireLease,
                Verb::Cancel,
                Verb::Reap,
            ],
            reports: &[State::Completed],
            ..base.clone()
        },
    );
    holds(
        "two tasks".to_owned(),
        Lifecycle {
            tasks: 2,
            owners: 1,
            tokens: if quick { 2 } else { 3 },
            clock: 2,
            crashes: !quick,
            calls: &[
                Verb::AcquireLease,
                Verb::Heartbeat,
                Verb::Finalize,
                Verb::Reap,
                Verb::ReapOwner,
            ],
            reports: &[State::Completed],
            ..base.clone()
        },
    );
    all
}

/// Each fault, the property that it must break, and the calls that are enough for it.
fn faults() -> Vec<Configuration> {
    use Verb::*;
    const LATE: &[Verb] = &[
        AcquireLease,
        AcquireLeaseById,
        Release,
        Reap,
        Finalize,
        Heartbeat,
    ];
    const TAPE: &[Verb] = &[AcquireLease, Finalize, AppendEvent, Cancel];
    let faults: &[(&str, Fault, &'static str, &'static [Verb])] = &[
        ("owner name as the fence", Fault::FenceByOwner, "A3", LATE),
        (
            "attempt number as the fence",
            Fault::FenceByAttempt,
            "A3",
            LATE,
        ),
        ("token from the row", Fault::TokenFromRow, "A2", LATE),
        (
            "token from the row, in use",
            Fault::TokenFromRow,
            "A3",
            LATE,
        ),
        (
            "heartbeat without a fence",
            Fault::HeartbeatUnfenced,
            "A3",
            LATE,
        ),
        (
            "heartbeat by id after the lease",
            Fault::HeartbeatUnfenced,
            "L3",
            LATE,
        ),
        ("finalize by id only", Fault::FinalizeById, "A3", LATE),
        (
            "finalize by id only, twice",
            Fault::FinalizeById,
            "L2",
            LATE,
        ),
        (
            "finalize by id only, not leased",
            Fault::FinalizeById,
            "L1",
            LATE,
        ),
        (
            "expiry checked before the lock",
            Fault::ExpiryBeforeLock,
            "A4",
            ALL,
        ),
        (
            "reap by id from an old snapshot",
            Fault::ReapFromOldSnapshot,
            "A1",
            LATE,
        ),
        (
            "requeue of what has ended",
            Fault::ReapFromOldSnapshot,
            "L2",
            LATE,
        ),
        (
            "reap by the owner's name",
            Fault::ReapOwnerByName,
            "A3",
            &[AcquireLease, Release, ReapOwner],
        ),
        (
            "candidate not re-checked",
            Fault::AcquireUnchecked,
            "A1",
            LATE,
        ),
        ("append without a fence", Fault::AppendUnfenced, "A3", ALL),
        ("event after final", Fault::AppendBeforeLock, "E2", TAPE),
        (
            "seq = max + 1 without the lock",
            Fault::SeqWithoutLock,
            "E1",
            TAPE,
        ),
        (
            "cancel that only sets a flag",
            Fault::CancelSetsFlag,
            "C2",
            LATE_AND_CANCEL,
        ),
        (
            "work after `cancelled`",
            Fault::CancelSetsFlag,
            "C1",
            LATE_AND_CANCEL,
        ),
        (
            "requested cancel forgotten",
            Fault::CancelForgotten,
            "C1",
            LATE_AND_CANCEL,
        ),
        (
            "require_lease without a lock",
            Fault::RequireWithoutLock,
            "A3, writes beside",
            ALL,
        ),
        (
            "replay told by the state",
            Fault::ReplayByState,
            "answers",
            LATE,
        ),
        (
            "release keeps the attempt",
            Fault::ReleaseCounted,
            "counts",
            LATE,
        ),
        (
            "nobody looks at an expired lease",
            Fault::CheckTooLate,
            "V1",
            LATE,
        ),
        ("expiry left behind", Fault::ExpiryLeftBehind, "L3", LATE),
    ];
    let configuration =
        |&(name, fault, property, calls): &(&str, Fault, &'static str, &'static [Verb])| {
            let model = Lifecycle {
                fault: Some(fault),
                calls,
                events: 5,
                // A lease that is lost refunds the attempt, too: but this one is about a release.
                clock: if fault == Fault::FenceByAttempt { 1 } else { 3 },
                // Without rollbacks a late token is one that was once good, which is the better story; these two need them.
                crashes: matches!(fault, Fault::TokenFromRow | Fault::ExpiryBeforeLock),
                ..base(&Heard::default())
            };
            (name.to_owned(), model, Expected::Violates(property))
        };
    faults.iter().map(configuration).collect()
}

const LATE_AND_CANCEL: &[Verb] = &[Verb::AcquireLease, Verb::Finalize, Verb::Cancel, Verb::Reap];

/// What the configurations without a fault hear together: every word of every function, and nothing else.
pub const EXPECTED: &[(Verb, &[Word])] = &[
    (Verb::AcquireLease, &[Word::Leased, Word::NoRow]),
    (
        Verb::AcquireLeaseById,
        &[Word::Terminal, Word::Held, Word::NotReady, Word::Acquired],
    ),
    (
        Verb::Start,
        &[
            Word::Terminal,
            Word::LeaseLost,
            Word::LeaseExpired,
            Word::AlreadyStarted,
            Word::Started,
        ],
    ),
    (
        Verb::Heartbeat,
        &[
            Word::Terminal,
            Word::LeaseLost,
            Word::LeaseExpired,
            Word::NotExtended,
            Word::Extended,
        ],
    ),
    (
        Verb::Finalize,
        &[
            Word::AlreadyFinalized,
            Word::AlreadyFinalizedDifferently,
            Word::Terminal,
            Word::LeaseLost,
            Word::Finalized,
        ],
    ),
    (
        Verb::FailAttempt,
        &[
            Word::AlreadyFinalized,
            Word::AlreadyFinalizedDifferently,
            Word::Terminal,
            Word::LeaseLost,
            Word::Finalized,
            Word::RetryScheduled,
        ],
    ),
    (
        Verb::Release,
        &[
            Word::Terminal,
            Word::LeaseLost,
            Word::Cancelled,
            Word::Started,
            Word::Released,
        ],
    ),
    (
        Verb::AppendEvent,
        &[Word::DroppedAfterFinal, Word::LeaseLost, Word::Appended],
    ),
    (Verb::RequireLease, &[Word::Raised, Word::Passed]),
    (
        Verb::Cancel,
        &[Word::Terminal, Word::Cancelled, Word::CancelRequested],
    ),
    (
        Verb::Reap,
        &[
            Word::Requeued,
            Word::Failed,
            Word::Quarantined,
            Word::Cancelled,
            Word::NoRow,
        ],
    ),
    (
        Verb::ReapOwner,
        &[
            Word::Requeued,
            Word::Failed,
            Word::Quarantined,
            Word::Cancelled,
            Word::NoRow,
        ],
    ),
    (
        Verb::State,
        &[
            Word::Leased,
            Word::Requeued,
            Word::RetryScheduled,
            Word::Completed,
            Word::Failed,
            Word::Cancelled,
            Word::Quarantined,
        ],
    ),
    (Verb::Crash, &[Word::Undone]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::lifecycle::history::{Lost, lost};
    use crate::lifecycle::task::Task;
    use crate::model::ending::{self, Ending};

    /// The rules, and what is written down of the contract, for everything that they look at.
    #[test]
    fn a_lost_lease_ends_as_the_contract_says() {
        for on_lost in OnLost::ALL {
            for bits in 0..32 {
                let bit = |n: i32| bits & 1 << n != 0;
                let (own, timed_out) = (bit(0), bit(1));
                let config = Lifecycle {
                    on_lost,
                    max_attempts: if bit(2) { 1 } else { 2 },
                    max_lost_leases: 1,
                    ..base(&Heard::default())
                };
                let mut task = Task::new();
                task.lease(1, 1, 1, 2);
                task.history.grant(1, 1, 2);
                (task.started, task.cancel_requested) = (bit(3), bit(4));
                let lease = ending::Lease {
                    attempt: 1,
                    max_attempts: config.max_attempts.into(),
                    lost_leases: 0,
                    max_lost_leases: 1,
                    started: task.started,
                    cancel_requested: task.cancel_requested,
                    timed_out,
                    on_lost,
                };
                let ending = if own {
                    ending::retaken(&lease)
                } else {
                    ending::lost(&lease)
                };
                let said = match ending {
                    Ending::Requeue { counted } => Lost::Requeued { counted },
                    Ending::Retry => Lost::Retried,
                    Ending::End { state, .. } => Lost::Ends(state),
                };
                assert_eq!(
                    said,
                    lost(&config, &task, own, timed_out),
                    "{lease:?}, own {own}"
                );
            }
        }
    }

    #[test]
    fn a_violation_that_nobody_expects_is_a_failure_with_its_path() {
        let model = Lifecycle {
            fault: Some(Fault::TokenFromRow),
            ..base(&Heard::default())
        };
        let report = check::run(&model, Expected::Holds);
        assert!(!report.as_expected(Expected::Holds));
        let (property, path) = report.violation.expect("tokens come twice");
        // Arrive, act, be rolled back, arrive, act: then the token has been drawn twice.
        assert_eq!((property, path.len()), ("A2", 5));
    }

    #[test]
    fn a_fault_that_is_not_found_is_a_failure() {
        let model = Lifecycle {
            tokens: 1,
            clock: 1,
            slots: 1,
            ..base(&Heard::default())
        };
        let expected = Expected::Violates("A3");
        assert!(!check::run(&model, expected).as_expected(expected));
    }

    #[test]
    fn every_fault_is_looked_for() {
        let run: Vec<Fault> = faults()
            .into_iter()
            .filter_map(|(_, model, _)| model.fault)
            .collect();
        assert!(Fault::ALL.iter().all(|fault| run.contains(fault)));
    }
}
