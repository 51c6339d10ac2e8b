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
            (Scheduled, &[Ready, Blocked, Compensating, Cancelled]),
            (Blocked, &[Ready, Compensating, Cancelled]),
            (Ready, &[Running, Blocked, Compensating, Cancelled]),
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

    /// A task whose work is undone has ended already: nothing gives it back, leases it, or calls it off.
    #[test]
    fn what_is_undone_ends_in_one_of_two_ways() {
        for event in Event::ALL {
            let expected = match event {
                Event::Compensated => Some(State::Compensated),
                Event::Quarantine => Some(State::Quarantined),
                _ => None,
            };
            assert_eq!(next(State::Compensating, event).ok(), expected, "{event}");
            let from: Vec<State> = State::ALL
                .into_iter()
                .filter(|from| next(*from, event) == Ok(State::Compensated))
                .collect();
            let only = match event {
                Event::Compensated => &[State::Compensating][..],
                _ => &[],
            };
            assert_eq!(from, only, "{event}");
        }
    }

    /// Wherever a task can be when its work is to be undone, that can begin: from all that is neither over nor begun.
    #[test]
    fn undoing_begins_wherever_a_task_can_be_called_off() {
        for state in State::ALL {
            let begins = next(state, Event::Compensate).is_ok();
            assert_eq!(begins, next(state, Event::Cancel).is_ok(), "{state:?}");
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

mod sagas {
    use crate::model::ending::{Ending, Lease, OnLost, lost};
    use crate::model::saga::{Undoing, is_undone, undoing};
    use crate::model::state::State;
    use crate::model::transition::{Event, ending_in, next};
    use proptest::prelude::*;

    #[test]
    fn failures_cancels_and_lost_leases_are_undone() {
        use State::*;
        // Said by its worker, and by others (who cancel, reap, or find the last lease lost).
        for (state, expected) in [
            (Scheduled, [false, false]),
            (Blocked, [false, false]),
            (Ready, [false, false]),
            (Running, [false, false]),
            (Compensating, [false, false]),
            (Completed, [false, false]),
            (Failed, [true, true]),
            (Cancelled, [true, true]),
            (Compensated, [false, false]),
            (Quarantined, [false, true]),
        ] {
            let found = [true, false].map(|by_worker| is_undone(state, by_worker));
            assert_eq!(found, expected, "{state:?}");
        }
    }

    /// Whoever may end a task so may also have it undone first, wherever it is.
    #[test]
    fn what_is_undone_is_an_end_and_can_begin() {
        for state in State::ALL {
            for by_worker in [true, false] {
                if !is_undone(state, by_worker) {
                    continue;
                }
                let end = ending_in(state).expect("it is an end");
                for from in State::ALL {
                    if from != State::Compensating && next(from, end).is_ok() {
                        let begun = next(from, Event::Compensate);
                        assert_eq!(begun, Ok(State::Compensating), "{from:?}, {end}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_what_completed_is_followed_by_the_next() {
        for ended in State::ALL.map(Some).into_iter().chain([None]) {
            for more in [true, false] {
                let expected = match ended {
                    Some(state) if state != State::Completed => Undoing::GaveUp,
                    _ if more => Undoing::Next,
                    _ => Undoing::Done,
                };
                assert_eq!(undoing(ended, more), expected, "{ended:?}, {more}");
            }
        }
    }

    /// How compensations may end: as any task does, for nobody registers any for them.
    const ENDS: [State; 4] = [
        State::Completed,
        State::Failed,
        State::Cancelled,
        State::Quarantined,
    ];

    /// Runs the compensations of a task, of which each will end as is said; returns which were run, in order, and how the task ends.
    fn undo(ends: &[State]) -> (Vec<usize>, State) {
        let mut left: Vec<usize> = (0..ends.len()).collect();
        let mut ran = Vec::new();
        loop {
            let ended = ran.last().map(|number: &usize| ends[*number]);
            let event = match undoing(ended, !left.is_empty()) {
                Undoing::Next => {
                    ran.extend(left.pop());
                    continue;
                }
                Undoing::Done => Event::Compensated,
                Undoing::GaveUp => Event::Quarantine,
            };
            let end = next(State::Compensating, event).expect("a compensating task may end so");
            return (ran, end);
        }
    }

    proptest! {
        /// G1: last registered first, each once, none beyond one that gave up.
        #[test]
        fn what_was_registered_last_is_undone_first(
            ends in prop::collection::vec(prop_oneof![9 => Just(State::Completed), 1 => prop::sample::select(&ENDS[..])], 0..30),
        ) {
            let (ran, end) = undo(&ends);
            let gave_up = ends.iter().rposition(|state| *state != State::Completed);
            let first = gave_up.unwrap_or(0);
            let expected: Vec<usize> = (first..ends.len()).rev().collect();
            prop_assert_eq!(ran, expected);
            let expected = if gave_up.is_some() { State::Quarantined } else { State::Compensated };
            prop_assert_eq!(end, expected);
        }

        /// However a lease is lost for good, the work that was done under it is undone.
        #[test]
        fn an_end_by_a_lost_lease_is_undone(
            numbers in (1..4i32, 1..4i32, 0..4i32, 1..4i32),
            flags: [bool; 3],
            on_lost in prop::sample::select(&OnLost::ALL[..]),
        ) {
            let (attempt, max_attempts, lost_leases, max_lost_leases) = numbers;
            let lease = Lease {
                attempt,
                max_attempts,
                lost_leases,
                max_lost_leases,
                started: flags[0],
                cancel_requested: flags[1],
                timed_out: flags[2],
                on_lost,
            };
            if let Ending::End { state, .. } = lost(&lease) {
                prop_assert!(is_undone(state, false), "{state:?}");
            }
        }
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

mod workflows {
    use crate::model::definition::{Definition, Problem, parse};
    use crate::model::run::{StepState, When};
    use proptest::prelude::*;
    use proptest::sample::Index;
    use serde_json::{Value, json};

    /// A definition with these steps and nothing else.
    fn with_steps(steps: Value) -> Result<Definition, Problem> {
        parse(&json!({ "steps": steps }).to_string())
    }

    fn right(steps: Value) -> Definition {
        with_steps(steps).expect("the definition is right")
    }

    fn names<'a>(definition: &'a Definition, steps: &[usize]) -> Vec<&'a str> {
        let names = steps.iter().map(|at| definition.steps[*at].name.as_str());
        names.collect()
    }

    /// Steps that need only steps of a lower number, and the order in which they are written.
    #[derive(Clone, Debug)]
    struct Graph {
        steps: Vec<(Vec<usize>, When, Fate)>,
        written: Vec<usize>,
    }

    /// What will become of a step, if its turn comes.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fate {
        /// Its tasks end, and it with them.
        Ends(StepState),
        /// Its `if` does not hold.
        Unwanted,
        /// Its `if` cannot be evaluated.
        Broken,
    }

    impl Graph {
        fn definition(&self) -> Definition {
            let steps = self.written.iter().map(|number| {
                let (needs, when, _) = &self.steps[*number];
                let needs: Vec<String> = needs.iter().map(usize::to_string).collect();
                json!({ "name": number.to_string(), "needs": needs, "when": when.name() })
            });
            right(steps.collect())
        }

        /// In the order of the definition.
        fn fates(&self, definition: &Definition) -> Vec<Fate> {
            let number = |position: usize| self.written[position];
            let steps = definition.steps.iter();
            steps
                .map(|step| self.steps[number(step.position)].2)
                .collect()
        }
    }

    fn graphs() -> impl Strategy<Value = Graph> {
        let fate = prop_oneof![
            6 => Just(Fate::Ends(StepState::Completed)),
            2 => Just(Fate::Ends(StepState::Failed)),
            1 => Just(Fate::Ends(StepState::Cancelled)),
            1 => Just(Fate::Unwanted),
            1 => Just(Fate::Broken),
        ];
        let needs = prop::collection::vec(any::<Index>(), 0..5);
        let step = (needs, prop::sample::select(&When::ALL[..]), fate);
        let steps = prop::collection::vec(step, 1..=40);
        steps.prop_flat_map(|steps| {
            let numbers: Vec<usize> = (0..steps.len()).collect();
            let steps = steps
                .into_iter()
                .enumerate()
                .map(|(i, (needs, when, fate))| {
                    let mut needs: Vec<usize> = match i {
                        0 => Vec::new(),
                        _ => needs.iter().map(|need| need.index(i)).collect(),
                    };
                    needs.sort_unstable();
                    needs.dedup();
                    let never = when == When::Failed && needs.is_empty();
                    (needs, if never { When::Done } else { when }, fate)
                });
            let steps: Vec<_> = steps.collect();
            Just(numbers).prop_shuffle().prop_map(move |written| Graph {
                steps: steps.clone(),
                written,
            })
        })
    }

    mod states {
        use crate::model::run::*;
        use proptest::prelude::*;

        #[test]
        fn names_and_codes_read_back() {
            for state in RunState::ALL {
                assert_eq!(RunState::from_code(state.code()), Some(state));
                assert_eq!(state.is_terminal(), state.code() >= 10);
            }
            for state in StepState::ALL {
                assert_eq!(StepState::from_code(state.code()), Some(state));
                assert_eq!(state.has_ended(), state.code() >= 10);
            }
            assert_eq!(RunState::Failing.name(), "running");
            assert_eq!(RunState::from_code(15), None);
            assert_eq!(StepState::from_code(13), None);
            for on_error in OnError::ALL {
                assert_eq!(OnError::parse(on_error.name()), Some(on_error));
            }
            for when in When::ALL {
                assert_eq!(When::parse(when.name()), Some(when));
            }
            assert_eq!(When::parse("always"), None);
        }

        #[test]
        fn a_run_moves_as_is_promised() {
            use RunEvent::*;
            use RunState::*;
            let asked = [Pause, Resume, Cancel, Fail, Compensate];
            let (pause, resume) = (Some(Paused), Some(Running));
            let (cancel, fail, undo) = (Some(Cancelling), Some(Failing), Some(Compensating));
            for (from, expected) in [
                (Running, [pause, None, cancel, fail, undo]),
                (Failing, [None, None, cancel, None, undo]),
                (Paused, [None, resume, cancel, None, None]),
                (Cancelling, [None, None, None, None, undo]),
                // It is over, but for what is undone: who cancels is told so.
                (Compensating, [None; 5]),
            ] {
                assert_eq!(
                    asked.map(|event| next_run(from, event)),
                    expected,
                    "{from:?}"
                );
            }
            for end in RunState::ALL {
                let if_terminal = end.is_terminal().then_some(end);
                let if_cancelled = matches!(end, Cancelled | Quarantined).then_some(end);
                let if_undone = matches!(end, Compensated | Quarantined).then_some(end);
                for (from, expected) in [
                    (Running, if_terminal),
                    (Failing, if_terminal),
                    (Paused, None),
                    (Cancelling, if_cancelled),
                    (Compensating, if_undone),
                ] {
                    assert_eq!(next_run(from, End(end)), expected, "{from:?} → {end:?}");
                }
            }
        }

        #[test]
        fn a_run_that_has_ended_stays_so() {
            use RunEvent::*;
            for state in RunState::ALL
                .into_iter()
                .filter(|state| state.is_terminal())
            {
                let ends = RunState::ALL.map(End);
                let asked = [Pause, Resume, Cancel, Fail, Compensate];
                for event in asked.into_iter().chain(ends) {
                    assert_eq!(next_run(state, event), None, "{state:?} moves on {event:?}");
                }
            }
        }

        fn run_events() -> impl Strategy<Value = Vec<RunEvent>> {
            let end = prop::sample::select(&RunState::ALL[..]).prop_map(RunEvent::End);
            let event = prop_oneof![
                2 => Just(RunEvent::Pause),
                2 => Just(RunEvent::Resume),
                1 => Just(RunEvent::Cancel),
                1 => Just(RunEvent::Fail),
                2 => Just(RunEvent::Compensate),
                1 => end,
            ];
            prop::collection::vec(event, 0..40)
        }

        #[test]
        fn the_verdict_is_that_of_the_page() {
            use StepState::*;
            use Verdict::*;
            // What is needed, and the verdicts for `completed`, `failed` and `done`.
            for (needs, expected) in [
                (&[][..], [Run, Skip, Run]),
                (&[Completed], [Run, Skip, Run]),
                (&[Failed], [Skip, Run, Run]),
                (&[Cancelled], [Skip, Skip, Run]),
                (&[Skipped], [Skip, Skip, Run]),
                (&[Completed, Completed], [Run, Skip, Run]),
                (&[Completed, Failed], [Skip, Run, Run]),
                (&[Failed, Cancelled], [Skip, Run, Run]),
                (&[Failed, Skipped], [Skip, Skip, Run]),
            ] {
                let verdicts = When::ALL.map(|when| verdict(when, needs));
                assert_eq!(verdicts, expected.map(Some), "{needs:?}");
            }
            for needs in [
                &[Waiting][..],
                &[Running],
                &[Failed, Running],
                &[Waiting, Skipped],
            ] {
                assert_eq!(
                    When::ALL.map(|when| verdict(when, needs)),
                    [None; 3],
                    "{needs:?}"
                );
            }
        }

        #[test]
        fn the_worst_task_decides_the_step() {
            assert_eq!(step_end(0, 0, 0), StepState::Completed);
            assert_eq!(step_end(7, 0, 0), StepState::Completed);
            assert_eq!(step_end(7, 0, 1), StepState::Cancelled);
            assert_eq!(step_end(7, 1, 1), StepState::Failed);
        }

        #[test]
        fn the_steps_decide_the_run() {
            use StepState::*;
            for (steps, end, if_cancelled) in [
                (&[][..], RunState::Completed, RunState::Cancelled),
                (
                    &[Completed, Skipped],
                    RunState::Completed,
                    RunState::Cancelled,
                ),
                (
                    &[Skipped, Skipped],
                    RunState::Completed,
                    RunState::Cancelled,
                ),
                (
                    &[Completed, Cancelled],
                    RunState::Cancelled,
                    RunState::Cancelled,
                ),
                (&[Cancelled, Failed], RunState::Failed, RunState::Cancelled),
            ] {
                assert_eq!(
                    run_end(false, steps.iter().copied()),
                    Some(end),
                    "{steps:?}"
                );
                assert_eq!(
                    run_end(true, steps.iter().copied()),
                    Some(if_cancelled),
                    "{steps:?}"
                );
            }
            for open in [Waiting, Running] {
                assert_eq!(run_end(false, [Failed, open]), None);
                assert_eq!(run_end(true, [open, Cancelled]), None);
            }
        }

        #[test]
        fn handlers_are_there_for_failures() {
            assert_eq!(When::ALL.map(survives_failure), [false, true, true]);
        }

        fn states() -> impl Strategy<Value = Vec<(StepState, StepState)>> {
            let state = || prop::sample::select(&StepState::ALL[..]);
            prop::collection::vec((state(), state()), 0..6)
        }

        proptest! {
            /// Whatever happens to a run, in whatever order: what was called off does not complete, and what is undone is not done again.
            #[test]
            fn a_run_that_is_called_off_or_undone_does_not_come_back(events in run_events()) {
                let (mut state, mut cancelled, mut undone) = (RunState::Running, false, false);
                for event in events {
                    let Some(next) = next_run(state, event) else { continue };
                    prop_assert!(!state.is_terminal(), "{state:?} moves on {event:?}");
                    let ends = [RunState::Cancelled, RunState::Compensated, RunState::Quarantined];
                    if cancelled {
                        let goes_on = [RunState::Compensating].into_iter().chain(ends);
                        prop_assert!(goes_on.into_iter().any(|on| on == next), "cancelled, then {next:?}");
                    }
                    if undone {
                        prop_assert!(ends[1..].contains(&next), "undone, then {next:?}");
                    }
                    cancelled |= next == RunState::Cancelling;
                    undone |= next == RunState::Compensating;
                    state = next;
                }
            }

            /// D3, D1: what is told once about a step or a run stays true, whatever becomes known later.
            #[test]
            fn more_information_changes_no_verdict(states in states(), cancelled: bool) {
                let before: Vec<StepState> = states.iter().map(|(now, _)| *now).collect();
                let after = states.iter().map(|(now, later)| if now.has_ended() { *now } else { *later });
                let after: Vec<StepState> = after.collect();
                for when in When::ALL {
                    if let Some(given) = verdict(when, &before) {
                        prop_assert_eq!(verdict(when, &after), Some(given));
                    }
                }
                if let Some(end) = run_end(cancelled, before.iter().copied()) {
                    prop_assert_eq!(run_end(cancelled, after.iter().copied()), Some(end));
                }
            }

            /// The order in which needs are named or have ended tells nothing.
            #[test]
            fn order_is_no_information(states in states(), cancelled: bool) {
                let states: Vec<StepState> = states.iter().map(|(now, _)| *now).collect();
                let mut sorted = states.clone();
                sorted.sort_unstable();
                for when in When::ALL {
                    prop_assert_eq!(verdict(when, &states), verdict(when, &sorted));
                }
                prop_assert_eq!(run_end(cancelled, states), run_end(cancelled, sorted));
            }
        }
    }

    mod definitions {
        use super::*;
        use crate::model::definition::{Compensate, Place, Template};
        use crate::model::limits;
        use crate::model::run::OnError;

        #[test]
        fn the_example_of_the_page_is_read() {
            let definition = parse(
                r#"{ "steps": [
                    {"name": "fetch",         "queue": "io", "max_attempts": 3, "compensate": {"queue": "undo", "payload": {"what": "fetch"}}},
                    {"name": "process_items", "queue": "cpu", "needs": ["fetch"], "with_items": "$.steps.fetch.result.items", "max_parallel": 3},
                    {"name": "validate",      "queue": "cpu", "needs": ["process_items"], "checkpoint": "before_validate"},
                    {"name": "alert",         "queue": "ops", "needs": ["process_items"], "when": "failed"} ],
                  "on_error": "pause", "max_parallel": 10 }"#,
            )
            .expect("the example is right");
            assert_eq!(
                (definition.on_error, definition.max_parallel),
                (OnError::Pause, Some(10))
            );
            let [fetch, process_items, validate, alert] = &definition.steps[..] else {
                panic!("four steps: {definition:?}");
            };
            let undo = Compensate {
                queue: "undo".into(),
                payload: Some(Template { places: Vec::new() }),
                reads: Vec::new(),
            };
            assert_eq!(
                (fetch.max_attempts, &fetch.compensate),
                (Some(3), &Some(undo))
            );
            assert_eq!(
                (&fetch.needs[..], &fetch.needed_by[..]),
                (&[][..], &[1][..])
            );
            assert_eq!(
                (&process_items.reads[..], process_items.max_parallel),
                (&[0][..], Some(3))
            );
            assert_eq!(process_items.needed_by, [2, 3]);
            assert_eq!(validate.checkpoint.as_deref(), Some("before_validate"));
            assert_eq!((validate.when, alert.when), (When::Completed, When::Failed));
        }

        #[test]
        fn what_is_absent_or_null_has_its_default() {
            let optional = [
                "queue",
                "needs",
                "when",
                "if",
                "with_items",
                "max_parallel",
                "checkpoint",
                "priority",
                "max_attempts",
                "max_runtime",
                "slot_keys",
                "compensate",
            ];
            let mut nulls = json!({ "name": "a" });
            for key in optional {
                nulls[key] = Value::Null;
            }
            let bare = right(json!([{ "name": "a" }]));
            assert_eq!(right(json!([nulls])), bare);
            let json = json!({ "steps": [nulls], "on_error": null, "max_parallel": null });
            assert_eq!(parse(&json.to_string()), Ok(bare.clone()));
            let step = &bare.steps[0];
            assert_eq!(
                (step.queue.as_str(), step.when, step.priority),
                ("default", When::Completed, 0)
            );
            assert_eq!(
                (bare.on_error, bare.max_parallel, &step.payload),
                (OnError::Fail, None, &None)
            );
        }

        #[test]
        fn what_is_written_is_read() {
            let definition = right(json!([
                { "name": "a" },
                { "name": "b", "queue": "q", "needs": ["a"], "when": "done", "if": "$.input.x > 1",
                  "with_items": "$.input.xs", "max_parallel": limits::ITEMS, "checkpoint": "c", "priority": -9,
                  "max_attempts": limits::ATTEMPTS, "max_runtime": "1 h", "slot_keys": ["s", "t"], "compensate": {} },
            ]));
            let b = &definition.steps[1];
            assert_eq!(
                (b.queue.as_str(), b.when, b.priority),
                ("q", When::Done, -9)
            );
            assert_eq!(
                (b.max_parallel, b.max_attempts),
                (Some(100_000), Some(10_000))
            );
            assert_eq!(
                (b.checkpoint.as_deref(), b.max_runtime.as_deref()),
                (Some("c"), Some("1 h"))
            );
            assert_eq!(b.slot_keys, ["s", "t"]);
            let default = Compensate {
                queue: "default".into(),
                payload: None,
                reads: Vec::new(),
            };
            assert_eq!(b.compensate, Some(default));
            let expressions: Vec<_> = b.expressions().collect();
            assert_eq!(
                expressions,
                [("if", "$.input.x > 1"), ("with_items", "$.input.xs")]
            );
        }

        #[test]
        fn a_template_has_a_place_for_each_path() {
            let places = |payload: Value| {
                let definition = right(json!([{ "name": "a", "payload": payload }]));
                definition.steps[0]
                    .payload
                    .clone()
                    .expect("there is a payload")
                    .places
            };
            let place = |path: &[&str], expression: &str| Place {
                path: path.iter().map(|key| key.to_string()).collect(),
                expression: expression.into(),
            };
            assert_eq!(places(Value::Null), []);
            assert_eq!(
                places(json!({ "$.input": "$", "a": ["$$.x", " $.x", "$x", 1] })),
                []
            );
            assert_eq!(places(json!("$.input")), [place(&[], "$.input")]);
            assert_eq!(
                places(json!({ "a": "$.input.a", "b": [0, { "": "$.input.b" }, "no"] })),
                [
                    place(&["a"], "$.input.a"),
                    place(&["b", "1", ""], "$.input.b")
                ]
            );
        }

        #[test]
        fn what_undoes_a_step_has_a_template_of_its_own() {
            let undo = |compensate: Value| {
                let definition = right(json!([
                    { "name": "a" },
                    { "name": "b", "needs": ["a"], "payload": ["$.input"], "compensate": compensate },
                ]));
                let b = definition.steps[1].clone();
                let expressions = b.expressions();
                let told: Vec<(&str, String)> =
                    expressions.map(|(key, e)| (key, e.into())).collect();
                (b.reads, b.compensate.expect("b can be undone"), told)
            };
            let payload = ("payload", "$.input".to_string());
            // Unlike no payload, null is a value.
            for (compensate, template) in [
                (json!({}), None),
                (
                    json!({ "payload": null }),
                    Some(Template { places: Vec::new() }),
                ),
                (
                    json!({ "payload": { "what": "b" } }),
                    Some(Template { places: Vec::new() }),
                ),
            ] {
                let (reads, undo, told) = undo(compensate.clone());
                assert_eq!(
                    (undo.payload, undo.reads),
                    (template, vec![]),
                    "{compensate}"
                );
                assert_eq!(
                    (reads, told),
                    (vec![], vec![payload.clone()]),
                    "{compensate}"
                );
            }
            let (reads, undo, told) = undo(json!({
                "queue": "undo",
                "payload": { "of": "$.task.task_id", "was": ["$.steps.a.result", "$.steps.b.result"], "x": "$.input.x" },
            }));
            assert_eq!(
                (undo.queue.as_str(), &undo.reads[..]),
                ("undo", &[0, 1][..])
            );
            // What the step itself reads when it begins is not more for that.
            assert!(reads.is_empty());
            let places = undo.payload.expect("there is a payload").places;
            let places: Vec<(Vec<String>, String)> = places
                .into_iter()
                .map(|place| (place.path, place.expression))
                .collect();
            let place = |path: &[&str], expression: &str| {
                (
                    path.iter().map(|key| key.to_string()).collect(),
                    expression.to_string(),
                )
            };
            let expected: Vec<(Vec<String>, String)> = vec![
                place(&["of"], "$.task.task_id"),
                place(&["was", "0"], "$.steps.a.result"),
                place(&["was", "1"], "$.steps.b.result"),
                place(&["x"], "$.input.x"),
            ];
            assert_eq!(places, expected);
            let of_undoing = expected.into_iter().map(|(_, e)| ("compensate", e));
            let all: Vec<(&str, String)> = [payload].into_iter().chain(of_undoing).collect();
            assert_eq!(told, all);
        }

        #[test]
        fn slot_keys_are_as_many_as_a_task_may_have_and_in_their_order() {
            let keys: Vec<String> = (0..limits::SLOT_KEYS)
                .rev()
                .map(|i| format!("s{i}"))
                .collect();
            let definition = right(json!([{ "name": "a", "slot_keys": keys }]));
            assert_eq!(definition.steps[0].slot_keys, keys);
            let more = [&keys[..], &["x".to_string()]].concat();
            let problem = with_steps(json!([{ "name": "a", "slot_keys": more }]));
            assert!(problem.expect_err("one too many").over_limit);
            let none = right(json!([{ "name": "a", "slot_keys": [] }]));
            assert!(none.steps[0].slot_keys.is_empty());
        }

        #[test]
        fn steps_come_after_what_they_need_else_as_written() {
            let definition = right(json!([
                { "name": "d", "needs": ["c", "a"] },
                { "name": "c", "needs": ["a"] },
                { "name": "x" },
                { "name": "a" },
                { "name": "b", "needs": ["a"] },
            ]));
            let all: Vec<usize> = (0..definition.steps.len()).collect();
            assert_eq!(names(&definition, &all), ["x", "a", "c", "d", "b"]);
            let positions: Vec<usize> = definition.steps.iter().map(|step| step.position).collect();
            assert_eq!(positions, [2, 3, 1, 0, 4]);
            assert_eq!(names(&definition, &definition.steps[3].needs), ["c", "a"]);
            assert_eq!(
                names(&definition, &definition.steps[1].needed_by),
                ["c", "d", "b"]
            );
        }

        /// Message and detail of each.
        #[test]
        fn a_problem_names_step_and_key() {
            let step =
                |key: &str, value: Value| json!([{ "name": "a" }, { "name": "b", key: value }]);
            let long = "x".repeat(256);
            let whole = |max| format!("It must be 1 to {max}.");
            let is_text = "It must be a string.".to_string();
            let is_word = "It must be a string of 1 to 255 bytes.".to_string();
            let holds_words = "It must hold strings of 1 to 255 bytes.".to_string();
            let other_steps = "It must hold names of other steps of the definition.".to_string();
            let once = "Each name may stand there once.".to_string();
            let own_name =
                "A step must have a name of its own: others need it by that name.".to_string();
            let reserved =
                "That name is reserved for runs that pause because a task failed.".to_string();
            let ancestors =
                "It may read the steps that it needs, and those that they need.".to_string();
            let own_and_ancestors =
                "It may read its own step, those that it needs, and those that they need."
                    .to_string();
            let item = "Only the payload of a step with \"with_items\" has an item.".to_string();
            let one_of_priority = "It must be -9 to 9.".to_string();
            for (steps, message, detail) in [
                (json!([{}]), "steps[0] has no name", own_name.clone()),
                (json!([{ "name": "a" }, { "name": null }]), "steps[1] has no name", own_name.clone()),
                (json!([{ "name": "a" }, 7]), "steps[1] is 7", "A step must be an object.".into()),
                (json!([{ "name": 7 }]), "steps[0]: key \"name\" is 7", is_word.clone()),
                (json!([{ "name": "" }]), "steps[0]: key \"name\" is \"\"", is_word.clone()),
                (json!([{ "name": "a" }, { "name": "a" }]), "step \"a\": key \"name\" is that of another step", own_name),
                (step("queue", json!("")), "step \"b\": key \"queue\" is \"\"", is_word.clone()),
                (step("queue", json!(["q"])), "step \"b\": key \"queue\" is [\"q\"]", is_word.clone()),
                (step("needs", json!(["x"])), "step \"b\": key \"needs\" names \"x\", which is no step", other_steps.clone()),
                (step("needs", json!(["b"])), "step \"b\": key \"needs\" names the step itself", other_steps),
                (step("needs", json!(["a", "a"])), "step \"b\": key \"needs\" names \"a\" twice", once.clone()),
                (step("needs", json!("a")), "step \"b\": key \"needs\" is \"a\"", "It must be an array.".into()),
                (step("needs", json!(["a", null])), "step \"b\": key \"needs\" holds null", holds_words.clone()),
                (step("when", json!("always")), "step \"b\": key \"when\" is \"always\"", "It must be completed, failed or done.".into()),
                (step("when", json!("failed")), "step \"b\": key \"when\" is \"failed\"", "A step that needs no other is never told that one failed: it must have \"needs\".".into()),
                (step("if", json!(true)), "step \"b\": key \"if\" is true", is_text.clone()),
                (step("with_items", json!([1, 2])), "step \"b\": key \"with_items\" is [1,2]", is_text.clone()),
                (step("max_parallel", json!("3")), "step \"b\": key \"max_parallel\" is \"3\"", whole(100_000)),
                (step("max_parallel", json!(3)), "step \"b\": key \"max_parallel\" stands without \"with_items\"", "Only a step with items has tasks that could run side by side.".into()),
                (step("checkpoint", json!("on_error")), "step \"b\": key \"checkpoint\" is \"on_error\"", reserved),
                (step("checkpoint", json!("")), "step \"b\": key \"checkpoint\" is \"\"", is_word.clone()),
                (step("priority", json!(10)), "step \"b\": key \"priority\" is 10", one_of_priority.clone()),
                (step("priority", json!(1.5)), "step \"b\": key \"priority\" is 1.5", one_of_priority),
                (step("max_attempts", json!(0)), "step \"b\": key \"max_attempts\" is 0", whole(10_000)),
                (step("max_attempts", json!(u64::MAX)), "step \"b\": key \"max_attempts\" is 18446744073709551615", whole(10_000)),
                (step("max_runtime", json!(60)), "step \"b\": key \"max_runtime\" is 60", is_text),
                (step("slot_keys", json!(["s", ""])), "step \"b\": key \"slot_keys\" holds \"\"", holds_words),
                (step("slot_keys", json!(["s", "s"])), "step \"b\": key \"slot_keys\" names \"s\" twice", once),
                (step("slot_keys", json!([1, 2, 3, 4, 5, 6, 7, 8, 9])), "step \"b\": key \"slot_keys\" has 9 elements", "It may have at most 8.".into()),
                (step("compensate", json!("undo")), "step \"b\": key \"compensate\" is \"undo\"", "It must be an object with a \"queue\" and a \"payload\".".into()),
                (step("compensate", json!({ "foo": 1 })), "step \"b\": key \"compensate\": unknown key \"foo\"", "It may have queue, payload.".into()),
                (step("compensate", json!({ "queue": 1 })), "step \"b\": key \"compensate\": key \"queue\" is 1", is_word.clone()),
                (step("if", json!("$.steps.x.result > 1")), "step \"b\": key \"if\" reads \"x\", which is no step", ancestors.clone()),
                (step("with_items", json!("$.steps.b.result")), "step \"b\": key \"with_items\" reads \"b\", which the step does not need", ancestors.clone()),
                (step("payload", json!(["$.steps.a"])), "step \"b\": key \"payload\" reads \"a\", which the step does not need", ancestors.clone()),
                (step("compensate", json!({ "payload": { "x": ["$.steps.x"] } })), "step \"b\": key \"compensate\" reads \"x\", which is no step", own_and_ancestors.clone()),
                (step("compensate", json!({ "payload": "$.steps.a.result" })), "step \"b\": key \"compensate\" reads \"a\", which the step does not need", own_and_ancestors),
                (step("compensate", json!({ "payload": ["$.item"] })), "step \"b\": key \"compensate\" reads \"$.item\"", "What undoes a task may read \"$.task\": its task_id, item_index, payload and result.".into()),
                (step("slot_keys", json!("s")), "step \"b\": key \"slot_keys\" is \"s\"", "It must be an array.".into()),
                (step("payload", json!(["$.item.x"])), "step \"b\": key \"payload\" reads \"$.item\"", item.clone()),
                (step("if", json!("$.item_index > 0")), "step \"b\": key \"if\" reads \"$.item_index\"", item),
                (json!([{ "name": "a", "needs": ["b"] }, { "name": "b", "needs": ["a"] }]), "steps need each other in a circle: \"a\", \"b\"", "Each key \"needs\" names the step that follows here, that of the last names the first.".into()),
            ] {
                let problem = with_steps(steps.clone()).expect_err(&steps.to_string());
                assert_eq!((problem.message.as_str(), problem.detail), (message, Some(detail)), "{steps}");
            }
            let problem =
                with_steps(json!([{ "name": "b", "foo": 1 }])).expect_err("foo is no key");
            assert_eq!(problem.message, "step \"b\": unknown key \"foo\"");
            let problem =
                with_steps(json!([{ "name": "b", "queue": long }])).expect_err("too long");
            assert_eq!(
                problem.message,
                format!("step \"b\": key \"queue\" is \"{}…", &long[..59])
            );
            let long_enough = right(json!([{ "name": &long[..255], "queue": &long[..255] }]));
            assert_eq!(long_enough.steps[0].name.len(), 255);
        }

        #[test]
        fn a_problem_of_the_whole_names_its_key() {
            let steps = json!([{ "name": "a" }]);
            let many: Vec<Value> = (0..=limits::STEPS)
                .map(|i| json!({ "name": i.to_string() }))
                .collect();
            for (json, message) in [
                (json!([]), "definition is []"),
                (json!({}), "definition has no steps"),
                (json!({ "steps": [] }), "definition has no steps"),
                (json!({ "steps": {} }), "definition: key \"steps\" is {}"),
                (
                    json!({ "steps": many }),
                    "definition: key \"steps\" has 1001 elements",
                ),
                (
                    json!({ "steps": steps, "foo": 1 }),
                    "definition: unknown key \"foo\"",
                ),
                (
                    json!({ "steps": steps, "on_error": "stop" }),
                    "definition: key \"on_error\" is \"stop\"",
                ),
                (
                    json!({ "steps": steps, "max_parallel": 0 }),
                    "definition: key \"max_parallel\" is 0",
                ),
            ] {
                let problem = parse(&json.to_string()).expect_err(message);
                assert_eq!(problem.message, message);
                assert!(problem.detail.is_some(), "{message}");
            }
        }

        #[test]
        fn a_circle_is_shown_and_nothing_beside_it() {
            let problem = with_steps(json!([
                { "name": "below", "needs": ["b"] },
                { "name": "root" },
                { "name": "a", "needs": ["root", "c"] },
                { "name": "b", "needs": ["a"] },
                { "name": "c", "needs": ["root", "b"] },
            ]));
            let message = problem.expect_err("a, b and c need each other").message;
            assert_eq!(
                message,
                "steps need each other in a circle: \"a\", \"c\", \"b\""
            );
            let long = (0..1_000).map(
                |i| json!({ "name": i.to_string(), "needs": [((i + 1) % 1_000).to_string()] }),
            );
            let message = with_steps(long.collect())
                .expect_err("a long circle")
                .message;
            assert!(message.ends_with("\"8\", \"9\" and 990 more"), "{message}");
        }

        #[test]
        fn json_that_cannot_be_read_is_a_problem() {
            let payload =
                |json: &str| format!(r#"{{"steps": [{{"name": "a", "payload": {json}}}]}}"#);
            let nested =
                |depth: usize| payload(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
            assert!(parse(&nested(124)).is_ok());
            for json in [
                nested(125),
                nested(100_000),
                payload("1e400"),
                "[".repeat(100_000),
                String::new(),
            ] {
                let problem = parse(&json).expect_err("unreadable");
                assert!(
                    problem.message.starts_with("definition cannot be read: "),
                    "{problem:?}"
                );
            }
        }

        /// As many edges as there can be: work that grew with their square would not end.
        #[test]
        fn a_full_graph_is_put_in_order() {
            let names: Vec<String> = (0..limits::STEPS).map(|i| format!("step {i}")).collect();
            let steps = names.iter().enumerate().map(|(i, name)| {
                json!({ "name": name, "needs": &names[i + 1..], "if": "$.steps.size() > 0" })
            });
            let definition = right(steps.collect());
            let positions = definition.steps.iter().map(|step| step.position);
            assert!(positions.eq((0..limits::STEPS).rev()));
            let last = &definition.steps[limits::STEPS - 1];
            assert_eq!((last.needs.len(), last.reads.len()), (999, 999));
        }

        proptest! {
            #[test]
            fn the_order_is_topological_and_the_edges_have_two_ends(graph in graphs()) {
                let definition = graph.definition();
                prop_assert_eq!(definition.steps.len(), graph.steps.len());
                let mut places = vec![0; graph.steps.len()];
                for (at, step) in definition.steps.iter().enumerate() {
                    let number = graph.written[step.position];
                    prop_assert_eq!(&step.name, &number.to_string());
                    places[number] += 1;
                    let needs: Vec<String> = graph.steps[number].0.iter().map(usize::to_string).collect();
                    prop_assert_eq!(names(&definition, &step.needs), needs);
                    prop_assert!(step.needs.iter().all(|need| *need < at));
                    for (other, needing) in definition.steps.iter().enumerate() {
                        prop_assert_eq!(step.needed_by.contains(&other), needing.needs.contains(&at));
                    }
                }
                prop_assert!(places.iter().all(|count| *count == 1), "{places:?}");
            }

            /// An edge from a step to one that comes later closes a circle if there is a way back.
            #[test]
            fn a_circle_is_never_accepted(graph in graphs(), from: Index, to: Index) {
                let mut graph = graph;
                let (from, to) = (from.index(graph.steps.len()), to.index(graph.steps.len()));
                let mut reached = vec![false; graph.steps.len()];
                reached[to] = true;
                for number in (0..=to).rev() {
                    if reached[number] {
                        graph.steps[number].0.iter().for_each(|need| reached[*need] = true);
                    }
                }
                prop_assume!(from != to && !graph.steps[from].0.contains(&to));
                graph.steps[from].0.push(to);
                let steps = graph.written.iter().map(|number| {
                    let needs: Vec<String> = graph.steps[*number].0.iter().map(usize::to_string).collect();
                    json!({ "name": number.to_string(), "needs": needs })
                });
                match with_steps(steps.collect()) {
                    Ok(_) => prop_assert!(!reached[from]),
                    Err(problem) => {
                        prop_assert!(reached[from], "{problem:?}");
                        let (_, circle) = problem.message.split_once(": ").expect("a list of steps");
                        let circle = circle.split(" and ").next().unwrap_or_default();
                        let circle: Vec<usize> = circle.split(", ")
                            .map(|name| name.trim_matches('"').parse().expect("the name of a step"))
                            .collect();
                        for pair in circle.windows(2) {
                            prop_assert!(graph.steps[pair[0]].0.contains(&pair[1]), "{circle:?}");
                        }
                    }
                }
            }
        }
    }

    mod paths {
        use super::*;

        /// The steps that an `if` of `d` may read, where d needs c, and c needs a and b.
        fn reads(expression: &str) -> Result<Vec<String>, String> {
            let steps = json!([
                { "name": "a" },
                { "name": "b b" },
                { "name": "c", "needs": ["a", "b b"] },
                { "name": "elsewhere" },
                { "name": "d", "needs": ["c"], "if": expression },
            ]);
            let definition = with_steps(steps).map_err(|problem| problem.message)?;
            let d = definition
                .steps
                .iter()
                .find(|step| step.name == "d")
                .expect("d is a step");
            Ok(names(&definition, &d.reads)
                .into_iter()
                .map(str::to_string)
                .collect())
        }

        #[test]
        fn a_step_that_is_named_is_read() {
            for (expression, expected) in [
                ("$.input.x", &[][..]),
                ("$.input.steps.x", &[]),
                ("$.\"input\".steps", &[]),
                ("$.input ? (@.steps.x == 1)", &[]),
                ("$.input.x == \"$.steps.x\"", &[]),
                ("$.input.x == \"\\\"$.steps.x\"", &[]),
                ("$.input /* $.steps.x */", &[]),
                ("$.stepson.x", &[]),
                ("1 == 1", &[]),
                ("$.steps.a", &["a"]),
                ("$.steps.a.state == \"completed\"", &["a"]),
                ("strict $.steps.a.result[*].x ? (@ > 1)", &["a"]),
                ("$ . steps\n.\ta", &["a"]),
                ("$/**/./* . */steps.a", &["a"]),
                ("$.\"steps\".\"b b\".result", &["b b"]),
                ("$.steps.\"b b\"", &["b b"]),
                ("exists($.steps.a.x) && !($.steps.c.y == 1)", &["a", "c"]),
                ("$.input.x ? (@ > $.steps.c.result)", &["c"]),
                ("$.steps.a+$.steps.c", &["a", "c"]),
            ] {
                let expected = expected.iter().map(|name| name.to_string()).collect();
                assert_eq!(reads(expression), Ok(expected), "{expression}");
            }
        }

        #[test]
        fn what_cannot_be_told_reads_all_ancestors() {
            for expression in [
                "$",
                "$.*",
                "$.**.x",
                "$.**{2}.x",
                "$.steps",
                "$.steps.*",
                "$.steps.**",
                "$.steps ? (@.a.x == 1)",
                "$ ? (@.steps.a.x == 1)",
                "($).steps.a",
                "$[0].steps.a",
                "$.keyvalue()",
                "$.steps.keyvalue ( ).value",
                "$.steps.size()",
                "$.\"st\\u0065ps\".a",
                "$.st\\u0065ps.a",
                "$.a\\$.steps.elsewhere",
                "$.steps.\"\\u0061\"",
                "$.steps.\\u0061",
                "$variable.x",
                "$\"variable\".x",
                "$.input/**/steps.a",
                "$.steps.x/**/a",
                "$.input == $",
            ] {
                let all = ["a", "b b", "c"].map(str::to_string).to_vec();
                assert_eq!(reads(expression), Ok(all), "{expression}");
            }
        }

        #[test]
        fn a_step_that_is_not_needed_is_not_read() {
            for (expression, why) in [
                ("$.steps.d.x", "\"d\", which the step does not need"),
                (
                    "$.steps.elsewhere",
                    "\"elsewhere\", which the step does not need",
                ),
                ("$.steps.x", "\"x\", which is no step"),
                ("$.steps.* == $.steps.x", "\"x\", which is no step"),
                ("$.steps.\"\"", "\"\", which is no step"),
                ("$.item", "\"$.item\""),
                ("$.\"item_index\" > 0", "\"$.item_index\""),
            ] {
                assert_eq!(
                    reads(expression),
                    Err(format!("step \"d\": key \"if\" reads {why}")),
                    "{expression}"
                );
            }
        }

        #[test]
        fn an_item_is_seen_by_payloads_of_steps_with_items() {
            let step = |key: &str, value: &str| {
                with_steps(json!([{ "name": "a", "with_items": "$.input", key: value }]))
            };
            assert!(step("payload", "$.item.x").is_ok());
            assert!(step("payload", "$.item_index").is_ok());
            assert!(step("if", "$.item.x == 1").is_err());
            assert!(step("with_items", "$.item").is_err());
        }

        /// The steps that what undoes `d` may read, where d needs c, and c needs a and b.
        fn undoing_reads(expression: &str) -> Result<Vec<String>, String> {
            let steps = json!([
                { "name": "a" },
                { "name": "b b" },
                { "name": "c", "needs": ["a", "b b"] },
                { "name": "elsewhere" },
                { "name": "d", "needs": ["c"], "if": "$.steps.c.result == 1", "compensate": { "payload": [1, expression] } },
                { "name": "e", "needs": ["d"] },
            ]);
            let definition = with_steps(steps).map_err(|problem| problem.message)?;
            let steps = &definition.steps;
            let d = steps
                .iter()
                .find(|step| step.name == "d")
                .expect("d is a step");
            assert_eq!(names(&definition, &d.reads), ["c"], "{expression}");
            let undo = d.compensate.as_ref().expect("d can be undone");
            let read = names(&definition, &undo.reads);
            Ok(read.into_iter().map(str::to_string).collect())
        }

        #[test]
        fn what_undoes_a_step_reads_it_and_what_it_needed() {
            for (expression, expected) in [
                ("$.input.x", &[][..]),
                ("$.task.result", &[]),
                ("$.task.item_index", &[]),
                ("$.steps.d.result", &["d"]),
                ("$.steps.a.result", &["a"]),
                ("$.steps.\"b b\".result + $.steps.d.x", &["b b", "d"]),
                ("$.steps.*", &["a", "b b", "c", "d"]),
                ("$.**.x", &["a", "b b", "c", "d"]),
                ("$.keyvalue()", &["a", "b b", "c", "d"]),
            ] {
                let expected = expected.iter().map(|name| name.to_string()).collect();
                assert_eq!(undoing_reads(expression), Ok(expected), "{expression}");
            }
            for (expression, why) in [
                ("$.steps.e", "\"e\", which the step does not need"),
                (
                    "$.steps.elsewhere",
                    "\"elsewhere\", which the step does not need",
                ),
                ("$.steps.x", "\"x\", which is no step"),
                ("$.item", "\"$.item\""),
                ("$.item_index", "\"$.item_index\""),
            ] {
                let message = format!("step \"d\": key \"compensate\" reads {why}");
                assert_eq!(undoing_reads(expression), Err(message), "{expression}");
            }
        }

        proptest! {
            /// Between tokens there may be anything that counts as space.
            #[test]
            fn spelling_is_no_difference(
                spaces in prop::collection::vec("([ \t\n\r\x0c](/\\*[ a-z.$\"]*\\*/)?){0,3}", 6),
                quoted: (bool, bool),
                prefix in prop::sample::select(&["", "lax ", "strict ", "1 == ", "\"$\" == ", "!exists("][..]),
                suffix in prop::sample::select(&["", ".x", "[*]", " > 1", "?(@.x == 1)", ".*", "+1"][..]),
            ) {
                let key = |name: &str, quoted| if quoted { format!("\"{name}\"") } else { name.to_string() };
                let (steps, name) = (key("steps", quoted.0), key("a", quoted.1));
                let [s0, s1, s2, s3, s4, s5] = &spaces[..] else { unreachable!() };
                let expression = format!("{prefix}{s0}${s1}.{s2}{steps}{s3}.{s4}{name}{s5}{suffix}");
                prop_assert_eq!(reads(&expression), Ok(vec!["a".to_string()]), "{}", expression);
            }
        }
    }

    mod runs {
        use super::*;
        use crate::model::run::{
            OnError, RunEvent, RunState, Verdict, next_run, run_end, survives_failure, verdict,
        };

        /// A run whose tasks are started and end in an order that a number decides.
        struct Run<'a> {
            definition: &'a Definition,
            fates: &'a [Fate],
            on_error: OnError,
            state: RunState,
            steps: Vec<StepState>,
            started: Vec<bool>,
            dice: u64,
        }

        impl Run<'_> {
            fn roll(&mut self, sides: usize) -> usize {
                // SplitMix64: even for any seed, and small ones are what proptest shrinks to.
                self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mixed = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                ((mixed ^ (mixed >> 31)) % sides as u64) as usize
            }

            fn set(&mut self, step: usize, to: StepState) {
                let from = self.steps[step];
                assert!(from < to && !from.has_ended(), "{step}: {from:?} → {to:?}");
                if to == StepState::Running {
                    let needs = &self.definition.steps[step].needs;
                    assert!(
                        needs.iter().all(|need| self.steps[*need].has_ended()),
                        "{step} is early"
                    );
                }
                self.steps[step] = to;
            }

            fn fail(&mut self, step: usize) {
                self.set(step, StepState::Failed);
                self.settle();
                if self.on_error == OnError::Fail
                    && let Some(failing) = next_run(self.state, RunEvent::Fail)
                {
                    self.state = failing;
                    for step in 0..self.steps.len() {
                        let stays = self.started[step]
                            || self.steps[step].has_ended()
                            || survives_failure(self.definition.steps[step].when);
                        if !stays {
                            self.set(step, StepState::Cancelled);
                        }
                    }
                    self.settle();
                }
            }

            /// Each step comes after those it needs: one look at each is enough.
            fn settle(&mut self) {
                for step in 0..self.steps.len() {
                    if self.steps[step] != StepState::Waiting {
                        continue;
                    }
                    let Step { needs, when } = self.step(step);
                    match (verdict(when, &needs), self.fates[step]) {
                        (None, _) => {}
                        (Some(Verdict::Skip), _) | (_, Fate::Unwanted) => {
                            self.set(step, StepState::Skipped)
                        }
                        (_, Fate::Broken) => self.fail(step),
                        (_, Fate::Ends(_)) => self.set(step, StepState::Running),
                    }
                }
            }

            fn step(&self, step: usize) -> Step {
                let step = &self.definition.steps[step];
                Step {
                    needs: step.needs.iter().map(|need| self.steps[*need]).collect(),
                    when: step.when,
                }
            }

            /// Starts or ends a task; false: there is none.
            fn go_on(&mut self) -> bool {
                let running =
                    (0..self.steps.len()).filter(|step| self.steps[*step] == StepState::Running);
                let running: Vec<usize> = running.collect();
                if running.is_empty() {
                    return false;
                }
                let step = running[self.roll(running.len())];
                match self.fates[step] {
                    _ if !self.started[step] => self.started[step] = true,
                    Fate::Ends(StepState::Failed) => self.fail(step),
                    Fate::Ends(end) => {
                        self.set(step, end);
                        self.settle();
                    }
                    fate => unreachable!("{fate:?} runs"),
                }
                true
            }
        }

        struct Step {
            needs: Vec<StepState>,
            when: When,
        }

        /// The states of the steps and of the run when nothing is left to do.
        fn simulate(
            definition: &Definition,
            fates: &[Fate],
            on_error: OnError,
            dice: u64,
        ) -> (Vec<StepState>, RunState) {
            let count = definition.steps.len();
            let mut run = Run {
                definition,
                fates,
                on_error,
                state: RunState::Running,
                steps: vec![StepState::Waiting; count],
                started: vec![false; count],
                dice,
            };
            run.settle();
            // Each task is started once and ends once.
            for _ in 0..2 * count {
                run.go_on();
            }
            assert!(!run.go_on(), "the run does not end");
            let end = run_end(false, run.steps.iter().copied()).expect("every step has ended");
            let end = next_run(run.state, RunEvent::End(end)).expect("the run may end so");
            (run.steps, end)
        }

        #[test]
        fn a_diamond_is_skipped_once_and_what_is_done_runs() {
            let definition = right(json!([
                { "name": "a" },
                { "name": "b", "needs": ["a"] },
                { "name": "c", "needs": ["a"] },
                { "name": "d", "needs": ["b", "c"] },
                { "name": "e", "needs": ["d"], "when": "done" },
                { "name": "f", "needs": ["d"], "when": "failed" },
            ]));
            let mut fates = [Fate::Ends(StepState::Completed); 6];
            fates[0] = Fate::Ends(StepState::Failed);
            use StepState::*;
            // `Run::set` refuses to skip a step twice.
            for on_error in OnError::ALL {
                let (steps, end) = simulate(&definition, &fates, on_error, 1);
                assert_eq!(
                    steps,
                    [Failed, Skipped, Skipped, Skipped, Completed, Skipped]
                );
                assert_eq!(end, RunState::Failed);
            }
        }

        #[test]
        fn a_failure_cancels_what_has_not_started_but_not_its_handlers() {
            let definition = right(json!([
                { "name": "a" },
                { "name": "b" },
                { "name": "after_both", "needs": ["a", "b"] },
                { "name": "at_last", "needs": ["after_both"], "when": "done" },
                { "name": "on_failure", "needs": ["a"], "when": "failed" },
            ]));
            let mut fates = [Fate::Ends(StepState::Completed); 5];
            fates[0] = Fate::Ends(StepState::Failed);
            use StepState::*;
            let mut seen_b = Vec::new();
            for dice in 1..50 {
                let (steps, end) = simulate(&definition, &fates, OnError::Fail, dice);
                // b may have completed first, or run on, or never have started.
                assert!([Completed, Cancelled].contains(&steps[1]), "{steps:?}");
                assert!([Skipped, Cancelled].contains(&steps[2]), "{steps:?}");
                assert_eq!(
                    (steps[0], steps[3], steps[4]),
                    (Failed, Completed, Completed)
                );
                assert_eq!(end, RunState::Failed);
                seen_b.push(steps[1]);
            }
            assert!(
                seen_b.contains(&Completed) && seen_b.contains(&Cancelled),
                "{seen_b:?}"
            );
        }

        proptest! {
            /// What a step ends as follows from what it needs, so that who is faster changes nothing.
            #[test]
            fn on_continue_the_order_of_ends_changes_nothing(graph in graphs(), dice: [u64; 3]) {
                let definition = graph.definition();
                let fates = graph.fates(&definition);
                let mut expected: Vec<StepState> = Vec::new();
                for (step, fate) in definition.steps.iter().zip(&fates) {
                    let needs: Vec<StepState> = step.needs.iter().map(|need| expected[*need]).collect();
                    expected.push(match (verdict(step.when, &needs), fate) {
                        (Some(Verdict::Run), Fate::Ends(end)) => *end,
                        (Some(Verdict::Run), Fate::Broken) => StepState::Failed,
                        _ => StepState::Skipped,
                    });
                }
                let end = run_end(false, expected.iter().copied()).expect("every step has ended");
                for dice in dice {
                    let found = simulate(&definition, &fates, OnError::Continue, dice);
                    prop_assert_eq!(found, (expected.clone(), end));
                }
            }

            /// However it goes, it ends, and says whether something failed.
            #[test]
            fn on_fail_nothing_is_left_and_a_failure_is_told(graph in graphs(), dice: u64) {
                let definition = graph.definition();
                let fates = graph.fates(&definition);
                let (steps, end) = simulate(&definition, &fates, OnError::Fail, dice);
                prop_assert!(steps.iter().all(|step| step.has_ended()), "{steps:?}");
                prop_assert_eq!(end == RunState::Failed, steps.contains(&StepState::Failed));
                // Nothing is cancelled by a failure that did not happen, and handlers never are.
                for (at, step) in definition.steps.iter().enumerate() {
                    if steps[at] == StepState::Cancelled && fates[at] != Fate::Ends(StepState::Cancelled) {
                        prop_assert_eq!(end, RunState::Failed);
                        prop_assert!(!survives_failure(step.when));
                    }
                }
            }
        }
    }

    mod hostile {
        use super::*;

        /// It is an answer, and an error reads like one of the server's.
        fn answers(json: &str) -> Result<(), TestCaseError> {
            if let Err(problem) = parse(json) {
                let Problem {
                    message, detail, ..
                } = &problem;
                prop_assert!(message.starts_with(char::is_lowercase), "{problem:?}");
                prop_assert!(!message.ends_with('.'), "{problem:?}");
                let is_sentence = |detail: &String| {
                    detail.ends_with('.') && detail.starts_with(char::is_uppercase)
                };
                prop_assert!(detail.as_ref().is_none_or(is_sentence), "{problem:?}");
            }
            Ok(())
        }

        const WORDS: [&str; 36] = [
            "steps",
            "on_error",
            "max_parallel",
            "name",
            "queue",
            "needs",
            "when",
            "if",
            "with_items",
            "payload",
            "checkpoint",
            "priority",
            "max_attempts",
            "max_runtime",
            "slot_keys",
            "compensate",
            "a",
            "b",
            "c",
            "failed",
            "done",
            "completed",
            "fail",
            "pause",
            "",
            "$",
            "$.item",
            "$.steps",
            "$.steps.a",
            "$.task.result",
            "undo",
            "$.steps.\"b",
            "$.input/*",
            "$.\"\\",
            "$.ß\\",
            "äöü",
        ];

        fn words() -> impl Strategy<Value = String> {
            prop_oneof![4 => prop::sample::select(&WORDS[..]).prop_map(str::to_string), 1 => "\\PC{0,9}"]
        }

        fn values() -> impl Strategy<Value = Value> {
            let leaf = prop_oneof![
                Just(Value::Null),
                any::<bool>().prop_map(Value::from),
                (-10..11i64).prop_map(Value::from),
                any::<i64>().prop_map(Value::from),
                any::<u64>().prop_map(Value::from),
                any::<f64>().prop_map(Value::from),
                words().prop_map(Value::from),
            ];
            leaf.prop_recursive(4, 40, 6, |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                    prop::collection::btree_map(words(), inner, 0..6)
                        .prop_map(|map| Value::Object(map.into_iter().collect())),
                ]
            })
        }

        /// Keys that are known, with values that may be right: what gets past the first checks.
        fn steps() -> impl Strategy<Value = Value> {
            let names = prop::sample::select(&["a", "b", "c", "d"][..]);
            let needs = prop::collection::vec(names.clone(), 0..3);
            let keys = prop::collection::vec((3..16usize, values()), 0..3);
            let step = (names, needs, keys).prop_map(|(name, needs, keys)| {
                let mut step = json!({ "name": name, "needs": needs });
                for (key, value) in keys {
                    step[WORDS[key]] = value;
                }
                step
            });
            prop::collection::vec(step, 1..5).prop_map(Value::from)
        }

        proptest! {
            #[test]
            fn any_json_has_an_answer(json in values()) {
                answers(&json.to_string())?;
            }

            #[test]
            fn any_steps_have_an_answer(steps in steps()) {
                answers(&json!({ "steps": steps }).to_string())?;
            }

            #[test]
            fn any_expression_has_an_answer(expression in "[$@.\"\\\\ a?()*/\u{e4}\u{2003}steps]{0,24}") {
                let step = json!({ "name": "a", "if": expression, "payload": format!("$.{expression}") });
                answers(&json!({ "steps": [step] }).to_string())?;
            }

            /// A right definition, with a few characters taken away, doubled or replaced.
            #[test]
            fn a_damaged_definition_has_an_answer(
                graph in graphs(),
                damages in prop::collection::vec((any::<Index>(), 0..3usize, any::<char>()), 1..4),
            ) {
                let step = |number: &usize| json!({
                    "name": number.to_string(),
                    "needs": graph.steps[*number].0.iter().map(usize::to_string).collect::<Vec<_>>(),
                    "payload": { "x": ["$.steps.\"0\".result", 1] },
                    "compensate": { "queue": "undo", "payload": ["$.task.result", format!("$.steps.\"{number}\".result")] },
                    "slot_keys": ["s", "t"],
                    "priority": 3,
                });
                let steps: Vec<Value> = graph.written.iter().map(step).collect();
                let mut text: Vec<char> = json!({ "steps": steps, "on_error": "pause" }).to_string().chars().collect();
                for (at, damage, c) in damages {
                    let at = at.index(text.len());
                    match damage {
                        0 => { text.remove(at); }
                        1 => text.insert(at, text[at]),
                        _ => text[at] = c,
                    }
                }
                answers(&text.into_iter().collect::<String>())?;
            }
        }
    }
}
mod mermaid {
    use crate::model::mermaid::{Node, graph};
    use crate::model::run::{StepState, When};
    use proptest::prelude::*;

    fn node<'a>(name: &'a str, state: StepState, needs: &[usize]) -> Node<'a> {
        Node {
            name,
            state,
            total: 1,
            ended: 0,
            needs: needs.to_vec(),
            when: When::Completed,
            has_condition: false,
            checkpoint: None,
        }
    }

    /// The text without the colours, which are the same in all.
    fn lines(text: &str) -> Vec<&str> {
        let lines = text.lines();
        lines
            .filter(|line| !line.starts_with("    classDef "))
            .collect()
    }

    /// The label of a graph's only step.
    fn label(name: &str) -> String {
        let text = graph("", &[node(name, StepState::Running, &[])]);
        let line = lines(&text)[1];
        let label = line.strip_prefix("    s0[\"").expect(line);
        let label = label.strip_suffix("<br/>running\"]:::running").expect(line);
        label.to_string()
    }

    #[test]
    fn a_graph_shows_states_widths_checkpoints_and_needs() {
        let steps = [
            node("fetch", StepState::Completed, &[]),
            Node {
                total: 5,
                ended: 3,
                ..node("items", StepState::Running, &[0])
            },
            Node {
                checkpoint: Some("look at it"),
                has_condition: true,
                ..node("validate", StepState::Waiting, &[0, 1])
            },
            Node {
                when: When::Failed,
                ..node("alert", StepState::Skipped, &[1])
            },
            Node {
                when: When::Done,
                has_condition: true,
                ..node("sweep", StepState::Waiting, &[3])
            },
        ];
        let expected = "---
title: \"etl, run 42\"
---
flowchart TD
    s0[\"fetch<br/>completed\"]:::completed
    s1[\"items<br/>running, 3 of 5\"]:::running
    s2[\"validate<br/>waiting<br/>checkpoint look at it\"]:::waiting
    s3[\"alert<br/>skipped\"]:::skipped
    s4[\"sweep<br/>waiting\"]:::waiting
    s0 --> s1
    s0 & s1 -.-> s2
    s1 -->|failed| s3
    s3 -.->|done| s4";
        let text = graph("etl, run 42", &steps);
        assert_eq!(lines(&text).join("\n"), expected);
        for state in StepState::ALL {
            let class = format!("    classDef {} fill:#", state.name());
            assert_eq!(text.matches(&class).count(), 1, "{class}");
        }
    }

    #[test]
    fn a_name_is_nothing_but_a_name() {
        let labels = [
            ("step_1.a-b/ü", "step_1.a-b/ü"),
            ("\"]", "#8288;#34;#93;"),
            ("a#35;<b>", "a#35;35#59;#60;b#62;"),
            ("a\nb\u{7f}\u{85}", "a#9226;b#9249;#65533;"),
            ("a  b", "a #160;b"),
            (" a", "#160;a"),
            ("in direction LR", "in direction#32;LR"),
            ("1. a", "#8288;1. a"),
            ("a\\n", "a#92;#8288;n"),
            ("a$$", "a#36;#8288;#36;"),
            ("fa:fa-ban", "fa#58;#8288;fa-ban"),
            ("aﬂ°¶ß", "aﬂ#8288;#176;#182;#8288;ß"),
        ];
        for (name, expected) in labels {
            assert_eq!(label(name), expected, "{name:?}");
        }
    }

    #[test]
    fn a_title_is_nothing_but_a_title() {
        let titles = [
            ("a: b # c", "a: b # c"),
            ("a\"\n---\n\\", "a\\\"\\U0000240A---\\U0000240A\\\\"),
            ("a<b> & c", "a＜b＞ ＆ c"),
            ("a\u{202e}b", "a\\U0000202Eb"),
        ];
        for (title, expected) in titles {
            let text = graph(title, &[]);
            let line = format!("title: \"{expected}\"");
            assert_eq!(lines(&text), ["---", &line, "---", "flowchart TD"]);
        }
    }

    /// What a reader sees of a label.
    fn read(label: &str) -> String {
        let mut read = String::new();
        let mut rest = label;
        while let Some((before, entity)) = rest.split_once('#') {
            let (code, after) = entity.split_once(';').expect(label);
            read += before;
            read.extend(code.parse().ok().and_then(char::from_u32));
            rest = after;
        }
        (read + rest).replace('\u{a0}', " ").replace('\u{2060}', "")
    }

    /// Pieces that mean something to Mermaid, YAML, Markdown or a browser, among other characters.
    fn names() -> impl Strategy<Value = String> {
        const PIECES: [&str; 20] = [
            "\"",
            "]",
            "#",
            ";",
            "#quot;",
            "\n",
            "\r",
            " ",
            "direction LR",
            "%%",
            "<br/>",
            "&lt;",
            "`",
            "end",
            "style",
            ":",
            "ﬂ°",
            "¶ß",
            "---",
            "\u{2060}",
        ];
        let piece = prop::sample::select(&PIECES[..]).prop_map(String::from);
        let other = any::<char>().prop_map(String::from);
        prop::collection::vec(prop_oneof![piece, other], 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_name_adds_a_line_or_ends_its_label(name in names()) {
            let step = Node { checkpoint: Some(&name), ..node(&name, StepState::Failed, &[]) };
            let text = graph(&name, &[step, node("b", StepState::Waiting, &[0])]);
            let lines = lines(&text);
            let graph = if name.is_empty() { 0 } else { 3 };
            prop_assert_eq!(lines.len(), graph + 4);
            prop_assert_eq!(lines[graph], "flowchart TD");
            prop_assert_eq!(lines[graph + 3], "    s0 --> s1");

            let line = lines[graph + 1];
            let label = line.strip_prefix("    s0[\"").and_then(|l| l.strip_suffix("\"]:::failed"));
            let parts: Vec<&str> = label.expect(line).split("<br/>").collect();
            prop_assert_eq!(parts.len(), 3);
            prop_assert_eq!(parts[1], "failed");
            for part in [parts[0], parts[2].strip_prefix("checkpoint ").expect(line)] {
                let plain = |c: char| c.is_alphanumeric() || " -_./#;".contains(c);
                prop_assert!(part.chars().all(plain), "{}", part);
                let seen: String = name.chars().map(|c| match u32::from(c) {
                    control @ 0..0x20 => char::from_u32(0x2400 + control).unwrap(),
                    0x7f => '\u{2421}',
                    0x80..0xa0 => '\u{fffd}',
                    0xa0 => ' ',
                    _ => c,
                }).collect();
                prop_assert_eq!(read(part), seen.replace('\u{2060}', ""));
            }
        }
    }
}

mod server {
    use crate::model::server::{LIMIT, mark, onward};
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;
    /// 2026-11-22.
    const NOW: i64 = 9_822 * 86_400 * SECOND;

    #[test]
    fn every_start_database_and_installation_has_a_mark_of_its_own() {
        let marks: std::collections::BTreeSet<i64> = (0..1_000)
            .flat_map(|start| (0..100).map(move |i| mark(NOW + start, 1 + i / 10, 16_384 + i % 10)))
            .collect();
        assert_eq!(marks.len(), 100_000);
        assert!(marks.first() > Some(&0));
    }

    /// A dump from before a promotion, restored after it: what the promoted server handed out is behind, too.
    #[test]
    fn who_starts_later_is_ahead_of_who_was_lost() {
        let dumped = 1_000;
        let promoted = onward(dumped, NOW);
        let lost = promoted + 3_600 * 200_000; // an hour at 200,000 a second
        assert!(onward(dumped, NOW + 3_600 * SECOND) > lost);
    }

    proptest! {
        #[test]
        fn numbers_go_onward_and_stay_below_their_limit(last in 1..LIMIT, now: i64) {
            let next = onward(last, now);
            prop_assert!(next < LIMIT && next >= last);
            prop_assert!(next > last || last > LIMIT - (1 << 37));
        }

        #[test]
        fn a_wrong_clock_leaves_a_gap_all_the_same(last in 1..LIMIT / 4, past in i64::MIN..0) {
            prop_assert_eq!(onward(last, past), (last / (1 << 36) + 1) << 36);
            prop_assert_eq!(onward(last, i64::MAX), (last / (1 << 36) + 1) << 36);
        }
    }
}
