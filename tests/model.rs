//! The rules, tested without a server.

#[allow(dead_code, reason = "the extension uses all of it")]
#[path = "../src/model/mod.rs"]
mod model;

mod machine {
    use crate::model::state::State;
    use crate::model::transition::{self, Event, next};

    /// L1 of docs/invariants.md, move by move, written down apart from the model.
    const LEAVES_TO: [(State, &[State]); 10] = {
        use State::*;
        [
            (Scheduled, &[Ready, Blocked, Cancelled]),
            (Blocked, &[Ready, Cancelled]),
            (Ready, &[Running, Blocked, Cancelled]),
            (
                Running,
                &[
                    Ready,
                    Scheduled,
                    Blocked,
                    Compensating,
                    Completed,
                    Failed,
                    Cancelled,
                    Quarantined,
                ],
            ),
            (Compensating, &[Compensated, Quarantined]),
            (Completed, &[]),
            (Failed, &[]),
            (Cancelled, &[]),
            (Compensated, &[]),
            (Quarantined, &[]),
        ]
    };

    #[test]
    fn moves_are_those_that_are_promised() {
        for (from, allowed) in LEAVES_TO {
            for to in State::ALL {
                let moves = Event::ALL.iter().any(|event| next(from, *event) == Ok(to));
                assert_eq!(
                    moves,
                    allowed.contains(&to),
                    "{} → {}",
                    from.name(),
                    to.name()
                );
            }
        }
    }

    #[test]
    fn terminal_is_final() {
        for state in State::ALL.into_iter().filter(|state| state.is_terminal()) {
            for event in Event::ALL {
                assert!(next(state, event).is_err(), "{state:?} moves on {event}");
            }
        }
    }

    #[test]
    fn every_state_but_the_first_ones_is_reached() {
        for state in State::ALL {
            let born = matches!(state, State::Scheduled | State::Blocked | State::Ready);
            let reached = transition::moves().iter().any(|(_, _, to)| *to == state);
            assert!(born || reached, "nothing leads to {state:?}");
        }
    }

    #[test]
    fn names_and_codes_are_unique_and_read_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.name()), Some(state));
            assert_eq!(State::from_code(state.code()), Some(state));
            assert_eq!(state.is_terminal(), state.code() >= 10);
        }
        assert_eq!(State::parse("done"), None);
        assert_eq!(State::from_code(5), None);
    }

    #[test]
    fn what_may_be_reported_ends_a_running_task() {
        for state in State::REPORTABLE {
            let event = transition::ending_in(state).expect("a reportable state has its event");
            assert_eq!(next(State::Running, event), Ok(state));
        }
        assert_eq!(transition::ending_in(State::Ready), None);
    }
}

mod endings {
    use crate::model::ending::{Ending, Lease, OnLost, failed_attempt, lost};
    use crate::model::state::State;
    use proptest::prelude::*;

    const LEASE: Lease = Lease {
        attempt: 1,
        max_attempts: 5,
        lost_leases: 0,
        max_lost_leases: 3,
        started: false,
        cancel_requested: false,
        timed_out: false,
        on_lost: OnLost::Requeue,
    };

    fn end(state: State, reason: &'static str, lost: bool) -> Ending<'static> {
        Ending::End {
            state,
            reason,
            lost,
        }
    }

    #[test]
    fn a_lost_lease_is_requeued_until_it_is_poison() {
        assert_eq!(lost(&LEASE), Ending::Requeue { counted: true });
        assert_eq!(
            lost(&Lease {
                lost_leases: 1,
                ..LEASE
            }),
            Ending::Requeue { counted: true }
        );
        let poison = Lease {
            lost_leases: 2,
            ..LEASE
        };
        assert_eq!(lost(&poison), end(State::Quarantined, "lost_leases", true));
    }

    #[test]
    fn on_lost_decides_what_begun_work_does() {
        let unstarted = Lease {
            on_lost: OnLost::RequeueUnstarted,
            lost_leases: 2,
            ..LEASE
        };
        assert_eq!(lost(&unstarted), Ending::Requeue { counted: false });
        let started = Lease {
            started: true,
            ..unstarted
        };
        assert_eq!(lost(&started), end(State::Failed, "lease_lost", true));
        let fail = Lease {
            on_lost: OnLost::Fail,
            ..LEASE
        };
        assert_eq!(lost(&fail), end(State::Failed, "lease_lost", true));
    }

    #[test]
    fn a_runtime_that_is_used_up_fails_the_attempt() {
        let timed_out = Lease {
            timed_out: true,
            ..LEASE
        };
        assert_eq!(lost(&timed_out), Ending::Retry);
        let last = Lease {
            attempt: 5,
            ..timed_out
        };
        assert_eq!(lost(&last), end(State::Failed, "timed_out", false));
    }

    #[test]
    fn what_must_not_run_twice_is_not_tried_again() {
        for (on_lost, started, again) in [
            (OnLost::Fail, false, false),
            (OnLost::Fail, true, false),
            (OnLost::RequeueUnstarted, false, true),
            (OnLost::RequeueUnstarted, true, false),
            (OnLost::Requeue, true, true),
        ] {
            let lease = Lease {
                on_lost,
                started,
                ..LEASE
            };
            let timed_out = Lease {
                timed_out: true,
                ..lease
            };
            let goes_on = |ending| !matches!(ending, Ending::End { .. });
            assert_eq!(goes_on(lost(&lease)), again, "{lease:?}");
            assert_eq!(goes_on(lost(&timed_out)), again, "{timed_out:?}");
        }
    }

    #[test]
    fn attempts_are_used_up_by_reports() {
        assert_eq!(
            failed_attempt(&Lease {
                attempt: 4,
                ..LEASE
            }),
            Ending::Retry
        );
        let last = Lease {
            attempt: 5,
            ..LEASE
        };
        assert_eq!(
            failed_attempt(&last),
            end(State::Failed, "attempts_exhausted", false)
        );
    }

    fn leases() -> impl Strategy<Value = Lease> {
        (
            1..9i32,
            1..9i32,
            0..9i32,
            1..9i32,
            any::<[bool; 3]>(),
            0..3usize,
        )
            .prop_map(
                |(attempt, max_attempts, lost_leases, max_lost_leases, flags, on_lost)| Lease {
                    attempt,
                    max_attempts,
                    lost_leases,
                    max_lost_leases,
                    started: flags[0],
                    cancel_requested: flags[1],
                    timed_out: flags[2],
                    on_lost: OnLost::ALL[on_lost],
                },
            )
    }

    proptest! {
        /// After a cancel was requested nothing goes round again.
        #[test]
        fn a_requested_cancel_wins(lease in leases()) {
            let asked = Lease { cancel_requested: true, ..lease };
            prop_assert_eq!(lost(&asked), end(State::Cancelled, "cancelled", true));
            prop_assert_eq!(failed_attempt(&asked), end(State::Cancelled, "cancelled", false));
        }

        /// A task cannot kill its workers for ever, nor fail for ever.
        #[test]
        fn every_counted_way_has_an_end(lease in leases()) {
            let used_up = Lease {
                attempt: lease.max_attempts,
                lost_leases: lease.max_lost_leases - 1,
                ..lease
            };
            prop_assert!(matches!(failed_attempt(&used_up), Ending::End { .. }), "{used_up:?}");
            let ends = matches!(lost(&used_up), Ending::End { .. } | Ending::Requeue { counted: false });
            prop_assert!(ends, "{used_up:?}");
        }
    }
}

mod outcomes {
    use crate::model::outcome::{
        Found, Refusal, may_start, needs_current, needs_current_or_replay, needs_live,
    };
    use crate::model::state::State;
    use proptest::prelude::*;

    fn founds() -> impl Strategy<Value = Found> {
        (0..10usize, 1..3i64, any::<[bool; 3]>()).prop_map(|(state, token, flags)| {
            let state = State::ALL[state];
            let held = state == State::Running || state.is_terminal();
            Found {
                state,
                lease_token: held.then_some(token),
                ended_by_lease: flags[0] && state.is_terminal(),
                expired: flags[1] && state == State::Running,
                started: flags[2],
            }
        })
    }

    #[test]
    fn what_does_not_exist_is_not_found() {
        for refuse in [
            needs_live,
            needs_current,
            needs_current_or_replay,
            may_start,
        ] {
            assert_eq!(refuse(None, 1), Some(Refusal::NotFound));
        }
    }

    proptest! {
        /// A3: only the current token of a running task passes, and only while it is unexpired where that is asked.
        #[test]
        fn a_stale_token_never_passes(found in founds(), token in 1..3i64) {
            let current = found.state == State::Running && found.lease_token == Some(token);
            prop_assert_eq!(needs_current(Some(&found), token).is_none(), current);
            prop_assert_eq!(needs_live(Some(&found), token).is_none(), current && !found.expired);
            let starts = current && !found.expired && !found.started;
            prop_assert_eq!(may_start(Some(&found), token).is_none(), starts);
        }

        /// The precedence that docs/sql-api.md shows: terminal before lease_lost before lease_expired.
        #[test]
        fn refusals_have_their_order(found in founds(), token in 1..3i64) {
            let refusal = needs_live(Some(&found), token);
            let expected = if found.state.is_terminal() {
                Some(Refusal::Terminal)
            } else if found.state != State::Running || found.lease_token != Some(token) {
                Some(Refusal::LeaseLost)
            } else if found.expired {
                Some(Refusal::LeaseExpired)
            } else {
                None
            };
            prop_assert_eq!(refusal, expected);
        }

        /// Only the call that ended the task is told that it did.
        #[test]
        fn a_replay_is_the_enders_own(found in founds(), token in 1..3i64) {
            let own = found.state.is_terminal() && found.ended_by_lease && found.lease_token == Some(token);
            let refusal = needs_current_or_replay(Some(&found), token);
            prop_assert_eq!(refusal == Some(Refusal::AlreadyFinalized), own);
        }
    }
}

mod backoff {
    use crate::model::backoff::delay;
    use proptest::prelude::*;

    #[test]
    fn it_doubles_up_to_its_bound() {
        let full = |attempt| delay(1_000_000, 600_000_000, attempt, 1.0);
        assert_eq!(
            [full(1), full(2), full(3)],
            [1_000_000, 2_000_000, 4_000_000]
        );
        assert_eq!(full(30), 600_000_000);
        assert_eq!(delay(1_000_000, 600_000_000, 1, 0.0), 500_000);
        assert_eq!(delay(0, 600_000_000, 9, 0.5), 0);
    }

    proptest! {
        #[test]
        fn it_stays_between_half_and_full(base in 0..i64::MAX / 4, max in 0..i64::MAX / 4, attempt in -5..200i32, jitter in 0.0..1.0f64) {
            let full = delay(base, max, attempt, 1.0);
            let some = delay(base, max, attempt, jitter);
            prop_assert!(full <= max);
            prop_assert!((full / 2..=full).contains(&some), "{some} of {full}");
        }
    }
}

mod join {
    use crate::model::limits::shards;
    use proptest::prelude::*;

    proptest! {
        /// Each shard has an item: an empty one would never reach 0.
        #[test]
        fn no_shard_is_empty(total in 1..200_000usize) {
            let shards = shards(total);
            prop_assert!(shards >= 1 && shards as usize <= total);
        }
    }
}

/// A line, transactions that put entries into it and take them out, and scans by one backend that remembers a
/// floor: no entry that is visible and above nothing may ever be below it.
mod claim_floor {
    use crate::model::claim_floor::{ClaimFloor, Seen};
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// A writer begins: it has its transaction id from now on.
        Begin(usize),
        /// A writer draws the next place and puts an entry there, visible once it has committed.
        Draw(usize),
        Commit(usize),
        Abort(usize),
        /// Somebody else takes the first visible entry, and commits.
        Take,
        /// Our backend scans.
        Scan,
        /// Time passes (ms).
        Wait(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            2 => (0..3usize).prop_map(Step::Begin),
            4 => (0..3usize).prop_map(Step::Draw),
            2 => (0..3usize).prop_map(Step::Commit),
            1 => (0..3usize).prop_map(Step::Abort),
            2 => Just(Step::Take),
            4 => Just(Step::Scan),
            2 => (1..1_500i64).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 1..80)
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Entry {
        Uncommitted(usize),
        Visible,
        Gone,
    }

    #[derive(Default)]
    struct Line {
        entries: Vec<(i64, Entry)>,
        open: [Option<u64>; 3],
        drawn: i64,
        next_xid: u64,
        now: i64,
    }

    impl Line {
        fn xmin(&self) -> u64 {
            self.open
                .iter()
                .flatten()
                .copied()
                .min()
                .unwrap_or(self.next_xid)
        }

        fn first_above(&self, start: i64) -> Option<i64> {
            let above = self.entries.iter().filter(|(at, _)| *at > start);
            above
                .filter(|(_, entry)| *entry == Entry::Visible)
                .map(|(at, _)| *at)
                .min()
        }

        fn settle(&mut self, writer: usize, to: Entry) {
            if self.open[writer].take().is_some() {
                for (_, entry) in &mut self.entries {
                    if *entry == Entry::Uncommitted(writer) {
                        *entry = to;
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn nothing_visible_is_passed_over(steps in steps()) {
            let mut line = Line { next_xid: 100, ..Line::default() };
            let mut floor = ClaimFloor::default();
            let mut passed_over_since = None;
            for step in steps {
                match step {
                    Step::Begin(writer) if line.open[writer].is_none() => {
                        line.open[writer] = Some(line.next_xid);
                        line.next_xid += 1;
                    }
                    Step::Draw(writer) if line.open[writer].is_some() => {
                        line.drawn += 1;
                        line.entries.push((line.drawn, Entry::Uncommitted(writer)));
                    }
                    Step::Commit(writer) => line.settle(writer, Entry::Visible),
                    Step::Abort(writer) => line.settle(writer, Entry::Gone),
                    Step::Take => {
                        let first = line.first_above(i64::MIN);
                        for (at, entry) in &mut line.entries {
                            if Some(*at) == first {
                                *entry = Entry::Gone;
                            }
                        }
                    }
                    Step::Wait(ms) => line.now += ms * 1_000,
                    Step::Scan => {
                        let xmin = line.xmin();
                        let start = floor.start(xmin, line.now);
                        let first = line.first_above(start);
                        let truth = line.first_above(i64::MIN);
                        if first == truth {
                            passed_over_since = None;
                        } else {
                            // Late by 1 s at most, and only while a writer stays open.
                            let since = *passed_over_since.get_or_insert(line.now);
                            prop_assert!(xmin < line.next_xid, "missed {truth:?}, found {first:?}");
                            prop_assert!(line.now - since <= 1_000_000, "late by {} µs", line.now - since);
                        }
                        let (drawn, next_xid, now) = (line.drawn, line.next_xid, line.now);
                        floor.learn(start, &Seen { first, drawn, next_xid, xmin, now });
                    }
                    _ => {}
                }
            }
        }

        /// With no writer open, two scans are enough to leave everything behind that is gone.
        #[test]
        fn the_floor_follows(places in 1..1_000i64) {
            let mut floor = ClaimFloor::default();
            for _ in 0..2 {
                let start = floor.start(100, 0);
                floor.learn(start, &Seen { first: None, drawn: places, next_xid: 100, xmin: 100, now: 0 });
            }
            prop_assert_eq!(floor.start(100, 0), places);
        }
    }
}

mod access {
    use crate::model::access::Capability::{self, *};
    use crate::model::access::{Access, FUNCTIONS, READERS, Reach, may_execute};

    #[test]
    fn a_function_stands_in_the_table_once() {
        for (i, (name, _)) in FUNCTIONS.iter().enumerate() {
            assert!(
                FUNCTIONS[..i].iter().all(|(other, _)| other != name),
                "{name}"
            );
        }
    }

    #[test]
    fn who_has_nothing_may_execute_nothing() {
        for (name, _) in FUNCTIONS {
            assert!(!may_execute(name, &[]), "{name}");
        }
        assert!(!may_execute("no such function", &Capability::ALL));
    }

    #[test]
    fn only_the_owner_grants() {
        assert!(!may_execute("baton_grant", &Capability::ALL));
        assert!(!may_execute("baton_revoke", &Capability::ALL));
    }

    #[test]
    fn a_capability_reaches_where_it_was_granted() {
        let mut access = Access::none();
        assert_eq!(access.reach(&[Work]), Reach::Nowhere);
        access.grant(Work, Some(7));
        access.grant(Work, Some(3));
        access.grant(Work, Some(7));
        access.grant(Observe, Some(5));
        assert_eq!(access.reach(&[Work]), Reach::Queues(vec![3, 7]));
        assert_eq!(access.reach(READERS), Reach::Queues(vec![3, 5, 7]));
        assert_eq!(access.reach(&[Control]), Reach::Nowhere);
        access.grant(Work, None);
        assert_eq!(access.reach(&[Work]), Reach::Everywhere);
        assert_eq!(access.reach(READERS), Reach::Everywhere);
        assert_eq!(access.reach(&[Observe]), Reach::Queues(vec![5]));
    }

    #[test]
    fn the_owner_reaches_everything() {
        for capability in Capability::ALL {
            assert_eq!(Access::all().reach(&[capability]), Reach::Everywhere);
            assert_eq!(Capability::parse(capability.name()), Some(capability));
        }
    }
}
