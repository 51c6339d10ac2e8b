//! The examination of the checker itself: histories that break a promise, which it must reject, and beside each of
//! them one that differs in the detail that matters, which it must accept.
//!
//! A history is told call by call: who, from when to when (ms, by the client's clock), what was asked and answered. A
//! lease of `11..111` was granted by the server at 11 and lasts until 111.

use std::collections::BTreeSet;
use std::fmt::{self, Debug};
use std::ops::Range;

use crate::acts;
use crate::checker::{self, Fate, Op, Rejected, Step};
use crate::model::state::State::{self, *};
use crate::run::queues;
use crate::spec::{Act, Reply, Window};

/// µs.
const MS: i64 = acts::MS;
/// ns, as monotonic times are counted.
const MONO: i64 = 1_000_000;

/// What was asked, and what was answered.
#[derive(Clone, Debug)]
struct Said {
    act: Act,
    reply: Option<Reply>,
}

impl Said {
    fn new(act: Act, outcome: &str) -> Said {
        let outcome = outcome.to_owned();
        Said {
            act,
            reply: Some(Reply {
                outcome,
                ..Reply::default()
            }),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Reply)) -> Said {
        change(self.reply.as_mut().expect("it was answered"));
        self
    }

    /// The answer did not come.
    fn unanswered(mut self) -> Said {
        self.reply = None;
        self
    }

    fn state(self, state: State) -> Said {
        self.with(|r| r.state = Some(state))
    }

    fn at(self, ms: i64) -> Said {
        self.with(|r| r.at = Some(ms * MS))
    }

    fn until(self, ms: i64) -> Said {
        self.with(|r| r.expires = Some(ms * MS))
    }

    fn run_at(self, ms: i64) -> Said {
        self.with(|r| r.run_at = Some(ms * MS))
    }

    fn seq(self, seq: i64) -> Said {
        self.with(|r| r.seq = Some(seq))
    }

    fn attempt(self, attempt: i32) -> Said {
        self.with(|r| r.attempt = Some(attempt))
    }

    fn losses(self, losses: i32) -> Said {
        self.with(|r| r.lost_leases = Some(losses))
    }

    fn owner(self, owner: &str) -> Said {
        self.with(|r| r.owner = Some(owner.to_owned()))
    }

    /// Somebody asks to cancel the task.
    fn told_of_cancel(self) -> Said {
        self.with(|r| r.cancel_requested = Some(true))
    }

    fn new_task(self, id: i64) -> Said {
        self.with(|r| r.task = Some(id))
    }

    /// The lease as a read shows it.
    fn held(self, owner: &str, token: i64, lease: Range<i64>) -> Said {
        self.owner(owner).until(lease.end).with(|r| {
            r.token = Some(token);
            r.leased_at = Some(lease.start * MS);
            r.started = Some(false);
        })
    }

    /// The end as a read shows it.
    fn ended(self, at: i64, reason: Option<&str>) -> Said {
        self.at(at).with(|r| r.reason = reason.map(str::to_owned))
    }

    fn result(mut self, result: &str) -> Said {
        if let Act::Finalize { result: given, .. } = &mut self.act {
            *given = Some(result.to_owned());
            return self;
        }
        self.with(|r| r.result = Some(result.to_owned()))
    }

    fn keys(self, keys: &[&str]) -> Said {
        self.with(|r| r.keys = Some(keys.iter().map(|key| (*key).to_owned()).collect()))
    }

    /// What the call asked for, where its answer does not tell.
    fn asking_for(mut self, ms: i64) -> Said {
        match &mut self.act {
            Act::Lease { ttl, .. } | Act::LeaseById { ttl, .. } | Act::Heartbeat { ttl, .. } => {
                *ttl = ms * MS;
            }
            other => panic!("{other:?} has no length"),
        }
        self
    }
}

fn index(queue: &str) -> usize {
    let all = queues();
    all.iter()
        .position(|known| known.name == queue)
        .expect("there is such a queue")
}

fn create(queue: &str, outcome: &str) -> Said {
    let act = Act::Create {
        queue: index(queue),
        max_attempts: None,
        delay: 0,
        bounded: false,
        in_run: false,
        undoes: false,
        flow: None,
    };
    Said::new(act, outcome)
}

/// An item of a group with `max_parallel`.
fn create_bounded(queue: &str) -> Said {
    let act = Act::Create {
        queue: index(queue),
        max_attempts: None,
        delay: 0,
        bounded: true,
        in_run: true,
        undoes: false,
        flow: None,
    };
    Said::new(act, "created")
}

fn create_later(queue: &str, delay: i64) -> Said {
    let act = Act::Create {
        queue: index(queue),
        max_attempts: None,
        delay: delay * MS,
        bounded: false,
        in_run: false,
        undoes: false,
        flow: None,
    };
    Said::new(act, "created").state(Scheduled)
}

/// The lease of a queue's task that was never leased before, as long as was asked for.
fn leased_from(queue: &str, owner: &str, token: i64, lease: Range<i64>) -> Said {
    let act = Act::Lease {
        queue: index(queue),
        owner: owner.to_owned(),
        ttl: (lease.end - lease.start) * MS,
    };
    Said::new(act, "leased")
        .until(lease.end)
        .attempt(1)
        .losses(0)
        .with(|r| r.token = Some(token))
}

fn leased(owner: &str, token: i64, lease: Range<i64>) -> Said {
    leased_from("again", owner, token, lease)
}

fn by_id(owner: &str, outcome: &str) -> Said {
    let act = Act::LeaseById {
        owner: owner.to_owned(),
        ttl: 100 * MS,
    };
    Said::new(act, outcome)
}

fn acquired(owner: &str, token: i64, lease: Range<i64>) -> Said {
    by_id(owner, "acquired")
        .state(Running)
        .owner(owner)
        .until(lease.end)
        .attempt(1)
        .asking_for(lease.end - lease.start)
        .with(|r| r.token = Some(token))
}

fn start(token: i64, outcome: &str) -> Said {
    Said::new(Act::Start { token }, outcome)
}

/// Asks for 100 ms more.
fn heartbeat(token: i64, outcome: &str) -> Said {
    let act = Act::Heartbeat {
        token,
        ttl: 100 * MS,
    };
    Said::new(act, outcome).with(|r| r.cancel_requested = Some(false))
}

fn append(token: i64, outcome: &str) -> Said {
    let act = Act::Append {
        token: Some(token),
        dedup_key: None,
    };
    Said::new(act, outcome).with(|r| r.cancel_requested = Some(false))
}

fn append_once(key: &str, token: i64, outcome: &str) -> Said {
    let mut said = append(token, outcome);
    if let Act::Append { dedup_key, .. } = &mut said.act {
        *dedup_key = Some(key.to_owned());
    }
    said
}

fn finalize_as(state: State, token: i64, outcome: &str) -> Said {
    let act = Act::Finalize {
        token,
        state,
        result: None,
    };
    Said::new(act, outcome).state(state)
}

fn finalize(token: i64, outcome: &str) -> Said {
    finalize_as(Completed, token, outcome)
}

fn fail(token: i64, outcome: &str) -> Said {
    let act = Act::FailAttempt {
        token,
        error: None,
        retry_after: None,
    };
    Said::new(act, outcome)
}

fn fail_retrying_after(delay: i64, token: i64, outcome: &str) -> Said {
    let act = Act::FailAttempt {
        token,
        error: None,
        retry_after: Some(delay * MS),
    };
    Said::new(act, outcome)
}

fn release_for(delay: i64, token: i64, outcome: &str) -> Said {
    let act = Act::Release {
        token,
        delay: delay * MS,
        unless_started: false,
    };
    Said::new(act, outcome)
}

fn release(token: i64, outcome: &str) -> Said {
    release_for(0, token, outcome)
}

fn release_unless_started(token: i64, outcome: &str) -> Said {
    let act = Act::Release {
        token,
        delay: 0,
        unless_started: true,
    };
    Said::new(act, outcome)
}

fn require(token: i64, outcome: &str) -> Said {
    Said::new(Act::RequireLease { token }, outcome)
}

/// The commit of a transaction that required the lease.
fn still_held(token: i64) -> Said {
    Said {
        act: Act::StillHeld { token },
        reply: None,
    }
}

fn cancel(outcome: &str) -> Said {
    Said::new(Act::Cancel { force: false }, outcome)
}

fn cancel_by_force(outcome: &str) -> Said {
    Said::new(Act::Cancel { force: true }, outcome)
}

fn reaped(outcome: &str) -> Said {
    Said::new(Act::Reaped { queue: None }, outcome)
}

fn reaped_in(queue: &str, outcome: &str) -> Said {
    let queue = Some(index(queue));
    Said::new(Act::Reaped { queue }, outcome)
}

fn reaped_owner(owner: &str, up_to_token: i64, outcome: &str) -> Said {
    let owner = owner.to_owned();
    Said::new(Act::ReapedOwner { owner, up_to_token }, outcome)
}

fn annotate(key: &str, outcome: &str) -> Said {
    let key = key.to_owned();
    Said::new(Act::Annotate { token: None, key }, outcome)
}

fn annotate_holding(token: i64, key: &str, outcome: &str) -> Said {
    let (token, key) = (Some(token), key.to_owned());
    Said::new(Act::Annotate { token, key }, outcome)
}

fn redrive(outcome: &str) -> Said {
    Said::new(Act::Redrive, outcome)
}

fn shows_nothing() -> Said {
    Said::new(Act::Get, "none")
}

/// A read: no attempt, no loss, nothing on the tape, unless it is said.
fn shows(state: State) -> Said {
    Said::new(Act::Get, "task")
        .state(state)
        .attempt(0)
        .losses(0)
        .seq(0)
        .with(|r| {
            r.cancel_requested = Some(false);
            r.keys = Some(BTreeSet::new());
        })
}

fn tape_after(after: i64, events: &[(&str, Option<i64>)]) -> Said {
    let tape: Vec<_> = events
        .iter()
        .map(|(kind, token)| ((*kind).to_owned(), *token))
        .collect();
    Said::new(Act::Tail { after }, "events")
        .seq(after + tape.len() as i64)
        .with(|r| r.tape = Some(tape))
}

fn tape(events: &[(&str, Option<i64>)]) -> Said {
    tape_after(0, events)
}

/// A part of a transaction.
#[derive(Clone, Debug)]
enum Part {
    Call(Range<i64>, Box<Said>),
    Savepoint,
    RollBackTo,
}

fn call(when: Range<i64>, said: Said) -> Part {
    Part::Call(when, Box::new(said))
}

/// The history of one task.
#[derive(Clone, Debug)]
struct Story {
    ops: Vec<Op>,
    careless: Vec<String>,
    /// Other transactions, on other tasks, that waited for their flush.
    flushes: Vec<Range<i64>>,
}

/// Nothing is there yet.
fn before_all() -> Story {
    Story {
        ops: Vec::new(),
        careless: Vec::new(),
        flushes: Vec::new(),
    }
}

/// A task was created and is ready, since 2 at the latest.
fn story_in(queue: &str) -> Story {
    before_all().says("producer", 1..2, create(queue, "created").state(Ready))
}

fn story() -> Story {
    story_in("again")
}

/// The first lease: token 1, of w1, from 11 to 111.
fn working() -> Story {
    story().says("w1", 10..12, leased("w1", 1, 11..111))
}

/// That lease ran out; the second: token 2, of w2, from 150 to 350.
fn taken_over() -> Story {
    let again = leased("w2", 2, 150..350).attempt(1).losses(1);
    working().says("w2", 149..151, again)
}

/// Its holder has completed the task, at 21.
fn completed() -> Story {
    working().says("w1", 20..22, finalize(1, "finalized").at(21))
}

impl Story {
    /// A client that has set `synchronous_commit = off`.
    fn careless(mut self, who: &str) -> Story {
        self.careless.push(who.to_owned());
        self
    }

    fn flushed_elsewhere(mut self, when: Range<i64>) -> Story {
        self.flushes.push(when);
        self
    }

    /// A call that is its own transaction.
    fn says(self, who: &str, when: Range<i64>, said: Said) -> Story {
        let fate = match (&said.reply, &said.act) {
            (None, act) if !matches!(act, Act::StillHeld { .. }) => Fate::Unknown,
            _ => Fate::Committed,
        };
        let commit = when.start;
        self.tx(who, commit..when.end, fate, vec![call(when, said)])
    }

    /// A transaction whose COMMIT or ROLLBACK was sent and answered then.
    fn tx(mut self, who: &str, end: Range<i64>, fate: Fate, parts: Vec<Part>) -> Story {
        let mut begun = end.start;
        let mut flushed = !self.careless.iter().any(|careless| careless == who);
        let mut steps = Vec::new();
        for part in parts {
            steps.push(match part {
                Part::Call(when, said) => {
                    begun = begun.min(when.start);
                    flushed |= acts::waits_for_flush(&said.act, said.reply.as_ref());
                    let to = if said.reply.is_some() {
                        when.end * MS
                    } else {
                        i64::MAX
                    };
                    let window = Window {
                        from: when.start * MS,
                        to,
                    };
                    Step::call(said.act, said.reply, window)
                }
                Part::Savepoint => Step::Savepoint,
                Part::RollBackTo => Step::RollbackToSavepoint,
            });
        }
        self.ops.push(Op {
            steps,
            fate,
            flushed,
            flushed_by: i64::MAX,
            begun: begun * MONO,
            ended: if fate == Fate::Unknown {
                i64::MAX
            } else {
                end.end * MONO
            },
            visible_from: end.start * MONO,
            label: who.to_owned(),
        });
        self
    }

    fn crash(mut self, when: Range<i64>) -> Story {
        let window = Window {
            from: when.start * MS,
            to: when.end * MS,
        };
        self.ops.push(Op {
            steps: vec![Step::call(Act::Crash, None, window)],
            fate: Fate::Unknown,
            flushed: true,
            flushed_by: 0,
            begun: when.start * MONO,
            ended: when.end * MONO,
            visible_from: when.start * MONO,
            label: "crash".to_owned(),
        });
        self
    }

    fn judge(mut self) -> Result<(), Rejected> {
        for op in &mut self.ops {
            let after = |flush: &&Range<i64>| flush.start * MONO > op.ended;
            let ends = self
                .flushes
                .iter()
                .filter(after)
                .map(|flush| flush.end * MONO);
            op.flushed_by = ends.min().unwrap_or(i64::MAX);
        }
        checker::check(&queues(), &self.ops)
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for op in &self.ops {
            let (from, to) = (op.begun / MONO, op.ended / MONO);
            writeln!(
                f,
                "{} {from} to {to}, {:?}: {:?}",
                op.label, op.fate, op.steps
            )?;
        }
        Ok(())
    }
}

/// The same story with one detail as the contract allows it, and as it does not.
fn examine<T: Clone + Debug>(story: impl Fn(T) -> Story, legal: &[T], illegal: &[T]) {
    for detail in legal {
        let told = story(detail.clone());
        if let Err(why) = told.clone().judge() {
            panic!("{detail:?} is legal: {why}\n{told}");
        }
    }
    for detail in illegal {
        let told = story(detail.clone());
        assert!(
            told.clone().judge().is_err(),
            "{detail:?} is illegal\n{told}"
        );
    }
}

mod leases {
    use super::*;

    #[test]
    fn two_leases_overlap_in_server_time() {
        let second = |at: i64| {
            let again = leased("w2", 2, at..at + 100).losses(1);
            working().says("w2", at - 1..at + 1, again)
        };
        examine(second, &[111, 150], &[20, 110]);
    }

    #[test]
    fn two_leases_overlap_after_a_heartbeat() {
        let second = |at: i64| {
            working()
                .says("w1", 90..92, heartbeat(1, "extended").until(191))
                .says(
                    "w2",
                    at - 1..at + 1,
                    leased("w2", 2, at..at + 100).losses(1),
                )
        };
        examine(second, &[191], &[111, 190]);
    }

    #[test]
    fn a_token_does_not_grow() {
        let second =
            |token| working().says("w2", 149..151, leased("w2", token, 150..250).losses(1));
        examine(second, &[2, 3], &[0, 1]);
    }

    #[test]
    fn a_lease_is_longer_than_was_asked() {
        let lease =
            |length| story().says("w1", 10..12, leased("w1", 1, 11..111).asking_for(length));
        examine(lease, &[100], &[10, 98]);
    }

    #[test]
    fn a_lease_is_granted_before_it_was_asked_for() {
        let lease = |at: i64| story().says("w1", 10..12, leased("w1", 1, at..at + 100));
        examine(lease, &[10, 12], &[9, 13]);
    }

    #[test]
    fn a_task_is_leased_from_another_queue() {
        let lease = |queue| story().says("w1", 10..12, leased_from(queue, "w1", 1, 11..111));
        examine(lease, &["again"], &["once"]);
    }

    #[test]
    fn an_expired_lease_is_revived_by_a_heartbeat() {
        // The server's clock is read 100 ms before what it answers.
        let beat = |until| working().says("w1", 100..130, heartbeat(1, "extended").until(until));
        examine(beat, &[210], &[211, 220]);
        let late = |said: Said| working().says("w1", 120..121, said);
        examine(
            late,
            &[heartbeat(1, "lease_expired"), heartbeat(1, "lease_lost")],
            &[heartbeat(1, "extended").until(220)],
        );
    }

    #[test]
    fn a_lease_that_lives_is_called_expired() {
        let beat = |from| working().says("w1", from..from + 2, heartbeat(1, "lease_expired"));
        examine(beat, &[110, 111, 150], &[20, 108]);
    }

    #[test]
    fn a_heartbeat_moves_the_expiry_back() {
        let beat = |said: Said| {
            working()
                .says(
                    "w1",
                    20..22,
                    heartbeat(1, "extended").asking_for(300).until(321),
                )
                .says("w1", 30..32, said)
        };
        examine(
            beat,
            &[heartbeat(1, "not_extended").until(321)],
            &[
                heartbeat(1, "extended").until(131),
                heartbeat(1, "not_extended").until(131),
                heartbeat(1, "extended").until(321),
            ],
        );
    }

    #[test]
    fn a_heartbeat_is_counted_from_a_time_that_runs_back() {
        let second = |until| {
            working()
                .says("w1", 40..60, heartbeat(1, "extended").until(155))
                .says(
                    "w1",
                    50..70,
                    heartbeat(1, "extended").asking_for(101).until(until),
                )
        };
        // Read at 55 and 56, or at 55 and 54, which is later all the same.
        examine(second, &[157, 171], &[155, 150]);
        let appended = |at| {
            working()
                .says("w1", 40..60, heartbeat(1, "extended").until(155))
                .says("w1", 61..70, append(1, "appended").seq(2).at(at))
        };
        examine(appended, &[61, 70], &[54, 60]);
    }

    #[test]
    fn a_heartbeat_that_would_extend_does_not() {
        let beat = |ttl| {
            let said = heartbeat(1, "not_extended").asking_for(ttl).until(111);
            working().says("w1", 50..52, said)
        };
        examine(beat, &[50, 61], &[62, 100]);
    }

    #[test]
    fn a_heartbeat_does_not_tell_until_when() {
        let beat = |said: Said| working().says("w1", 50..52, said);
        examine(
            beat,
            &[heartbeat(1, "extended").until(151)],
            &[
                heartbeat(1, "extended"),
                heartbeat(1, "lease_lost").until(151),
            ],
        );
    }

    #[test]
    fn a_lease_goes_beyond_max_runtime() {
        let beat = |until| {
            story_in("bounded")
                .says("w1", 10..12, leased_from("bounded", "w1", 1, 11..411))
                .says(
                    "w1",
                    400..402,
                    heartbeat(1, "extended").asking_for(1000).until(until),
                )
        };
        examine(beat, &[511], &[512, 1401]);
        let lease = |until| {
            let said = leased_from("bounded", "w1", 1, 11..until).asking_for(1000);
            story_in("bounded").says("w1", 10..12, said)
        };
        examine(lease, &[511], &[411, 1011]);
    }

    #[test]
    fn a_lease_that_timed_out_counts_as_lost() {
        let again = |(attempt, losses)| {
            let said = leased_from("bounded", "w2", 2, 700..800);
            story_in("bounded")
                .says("w1", 10..12, leased_from("bounded", "w1", 1, 11..511))
                .says("reaper", 600..602, reaped("requeued"))
                .says("w2", 699..701, said.attempt(attempt).losses(losses))
        };
        examine(again, &[(2, 0)], &[(1, 1), (1, 0), (2, 1)]);
    }

    #[test]
    fn what_timed_out_is_leased_before_its_backoff() {
        let again = |at: i64| {
            let said = leased_from("bounded", "w2", 2, at..at + 100).attempt(2);
            story_in("bounded")
                .says("w1", 10..12, leased_from("bounded", "w1", 1, 11..511))
                .says("w2", at - 1..at + 1, said)
        };
        // Half of the 5 ms are fixed.
        examine(again, &[514, 520], &[511, 513]);
    }

    #[test]
    fn a_live_lease_is_reaped() {
        let reap = |from| working().says("reaper", from..from + 2, reaped("requeued"));
        examine(reap, &[110, 111, 200], &[20, 108]);
    }

    #[test]
    fn a_lease_of_another_queue_is_reaped() {
        let reap = |queue| working().says("reaper", 150..152, reaped_in(queue, "requeued"));
        examine(reap, &["again"], &["once"]);
    }

    #[test]
    fn an_owner_is_reaped_beyond_what_the_caller_saw() {
        let reap = |(owner, up_to)| {
            story().says("w1", 10..12, leased("w1", 5, 11..111)).says(
                "node",
                20..22,
                reaped_owner(owner, up_to, "requeued"),
            )
        };
        examine(reap, &[("w1", 5), ("w1", 9)], &[("w1", 4), ("w2", 5)]);
    }

    #[test]
    fn a_lost_lease_is_requeued_against_on_lost() {
        let reap = |(queue, started, outcome): (&'static str, bool, &'static str)| {
            let mut told = story_in(queue).says("w1", 10..12, leased_from(queue, "w1", 1, 11..111));
            let mut until = 111;
            if started {
                told = told.says("w1", 20..22, start(1, "started").until(321));
                until = 321;
            }
            told.says("reaper", until..until + 2, reaped(outcome))
        };
        examine(
            reap,
            &[
                ("again", true, "requeued"),
                ("unstarted", false, "requeued"),
                ("unstarted", true, "failed"),
                ("once", false, "failed"),
            ],
            &[
                ("again", true, "failed"),
                ("unstarted", false, "failed"),
                ("unstarted", true, "requeued"),
                ("once", false, "requeued"),
            ],
        );
    }

    #[test]
    fn a_loss_before_the_start_is_counted() {
        let again = |losses| {
            story_in("unstarted")
                .says("w1", 10..12, leased_from("unstarted", "w1", 1, 11..111))
                .says(
                    "w2",
                    149..151,
                    leased_from("unstarted", "w2", 2, 150..250).losses(losses),
                )
        };
        examine(again, &[0], &[1]);
    }

    #[test]
    fn a_task_that_kills_its_workers_is_not_quarantined() {
        let third = |outcome: &'static str| {
            taken_over()
                .says("w3", 400..402, leased("w3", 3, 401..501).losses(2))
                .says("reaper", 600..602, reaped(outcome))
        };
        examine(third, &["quarantined"], &["requeued", "failed"]);
        let second = |outcome: &'static str| taken_over().says("r", 600..602, reaped(outcome));
        examine(second, &["requeued"], &["quarantined"]);
    }

    #[test]
    fn a_release_counts_as_an_attempt() {
        let again = |(attempt, losses)| {
            working()
                .says("w1", 20..22, release(1, "released").run_at(21))
                .says(
                    "w2",
                    30..32,
                    leased("w2", 2, 31..131).attempt(attempt).losses(losses),
                )
        };
        examine(again, &[(1, 0)], &[(2, 0), (0, 0), (1, 1)]);
    }

    #[test]
    fn a_lost_lease_is_not_counted_as_one() {
        let again = |(attempt, losses)| {
            let said = leased("w2", 2, 150..250).attempt(attempt).losses(losses);
            working().says("w2", 149..151, said)
        };
        examine(again, &[(1, 1)], &[(2, 1), (2, 0), (1, 0)]);
    }

    #[test]
    fn a_retry_is_not_counted_as_an_attempt() {
        let again = |(attempt, losses)| {
            let said = leased("w2", 2, 151..251).attempt(attempt).losses(losses);
            working()
                .says(
                    "w1",
                    20..22,
                    fail(1, "retry_scheduled").state(Scheduled).run_at(25),
                )
                .says("w2", 150..152, said)
        };
        examine(again, &[(2, 0)], &[(1, 0), (1, 1), (3, 0)]);
    }

    #[test]
    fn an_own_expired_lease_taken_again_is_a_loss_twice() {
        let read = |losses| {
            let lease = shows(Running).held("w1", 2, 150..250).attempt(1);
            working()
                .says("w1", 149..151, acquired("w1", 2, 150..250))
                .says("reader", 160..161, lease.losses(losses).seq(3))
        };
        // Somebody may have swept it before.
        examine(read, &[0, 1], &[2]);
    }

    #[test]
    fn a_stale_token_starts() {
        let stale = |said: Said| taken_over().says("w1", 200..202, said);
        examine(
            stale,
            &[start(1, "lease_lost")],
            &[start(1, "started").until(501), start(1, "lease_expired")],
        );
    }

    #[test]
    fn a_stale_token_extends() {
        let stale = |said: Said| taken_over().says("w1", 300..302, said);
        examine(
            stale,
            &[
                heartbeat(1, "lease_lost"),
                heartbeat(2, "extended").until(401),
            ],
            &[
                heartbeat(1, "extended").until(401),
                heartbeat(1, "not_extended").until(350),
            ],
        );
    }

    #[test]
    fn a_stale_token_appends() {
        let stale = |said: Said| taken_over().says("w1", 200..202, said);
        examine(
            stale,
            &[
                append(1, "lease_lost"),
                append(2, "appended").seq(4).at(201),
            ],
            &[append(1, "appended").seq(4).at(201)],
        );
    }

    #[test]
    fn a_stale_token_finalizes() {
        let stale = |said: Said| taken_over().says("w1", 200..202, said);
        examine(
            stale,
            &[
                finalize(1, "lease_lost").state(Running),
                finalize(2, "finalized").at(201),
            ],
            &[finalize(1, "finalized").at(201)],
        );
    }

    #[test]
    fn a_stale_token_fails_the_attempt() {
        let stale = |said: Said| taken_over().says("w1", 200..202, said);
        examine(
            stale,
            &[fail(1, "lease_lost").state(Running)],
            &[fail(1, "retry_scheduled").state(Scheduled).run_at(205)],
        );
    }

    #[test]
    fn a_stale_token_releases() {
        let stale = |said: Said| taken_over().says("w1", 200..202, said);
        examine(
            stale,
            &[release(1, "lease_lost"), release(2, "released").run_at(201)],
            &[release(1, "released").run_at(201)],
        );
    }

    #[test]
    fn a_stale_token_annotates() {
        let stale = |said: Said| taken_over().says("w1", 200..202, said);
        examine(
            stale,
            &[
                annotate_holding(1, "k", "lease_lost"),
                annotate_holding(2, "k", "annotated"),
            ],
            &[annotate_holding(1, "k", "annotated")],
        );
    }

    #[test]
    fn a_stale_token_is_said_to_hold_the_lease() {
        let stale = |said: Said| taken_over().says("w1", 200..202, said);
        examine(
            stale,
            &[require(1, "refused"), require(2, "held")],
            &[require(1, "held"), require(2, "refused")],
        );
    }

    /// The end reads its time, 300, under the task's lock, and is committed at 400. A stale token is refused beside it; whoever holds
    /// the current one waits for that lock.
    #[test]
    fn a_lease_expires_beside_its_end() {
        let beside = |said: Said| {
            taken_over()
                .says("w2", 299..400, finalize(2, "finalized").at(300))
                .says("w1", 360..362, said)
        };
        examine(
            beside,
            &[
                heartbeat(1, "lease_lost"),
                start(1, "lease_lost"),
                require(1, "refused"),
            ],
            &[heartbeat(2, "lease_expired"), start(2, "lease_expired")],
        );
    }

    #[test]
    fn a_required_lease_is_taken_before_the_commit() {
        let required = |forced: bool| {
            let told = working().says("w1", 20..22, require(1, "held"));
            let told = if forced {
                told.says(
                    "admin",
                    30..32,
                    cancel_by_force("cancelled").state(Cancelled),
                )
            } else {
                told.says("admin", 30..32, cancel("cancel_requested").state(Running))
            };
            told.says("w1", 60..62, still_held(1))
        };
        examine(required, &[false], &[true]);
    }

    #[test]
    fn a_current_token_is_called_lost() {
        let told = |(said, from): (Said, i64)| working().says("w1", from..from + 2, said);
        examine(
            told,
            &[
                (heartbeat(1, "lease_lost"), 150),
                (append(1, "lease_lost"), 150),
            ],
            &[
                (heartbeat(1, "lease_lost"), 50),
                (append(1, "lease_lost"), 50),
            ],
        );
    }

    #[test]
    fn the_same_lease_is_started_twice() {
        let second = |said: Said| {
            working()
                .says("w1", 20..22, start(1, "started").until(321))
                .says("w1", 30..32, said)
        };
        examine(
            second,
            &[start(1, "already_started").until(321)],
            &[
                start(1, "started").until(331),
                start(1, "already_started").until(111),
                start(1, "already_started"),
            ],
        );
    }

    #[test]
    fn a_start_shortens_the_lease() {
        let begun = |until| {
            story().says("w1", 10..12, leased("w1", 1, 11..511)).says(
                "w1",
                20..22,
                start(1, "started").until(until),
            )
        };
        examine(begun, &[511], &[321, 510]);
    }

    #[test]
    fn what_has_started_is_released_unless_started() {
        let after = |outcome: &'static str| {
            let said = release_unless_started(1, outcome);
            working()
                .says("w1", 20..22, start(1, "started").until(321))
                .says(
                    "w1",
                    30..32,
                    if outcome == "released" {
                        said.run_at(31)
                    } else {
                        said
                    },
                )
        };
        examine(after, &["started"], &["released"]);
    }

    #[test]
    fn a_ready_task_is_not_ready() {
        let asked = |said: Said| story().says("w1", 20..22, said);
        examine(
            asked,
            &[acquired("w1", 1, 21..121)],
            &[
                by_id("w1", "not_ready").state(Ready),
                by_id("w1", "not_ready").state(Blocked),
            ],
        );
    }

    #[test]
    fn a_task_whose_time_has_come_is_not_ready() {
        let asked = |from| {
            before_all()
                .says("producer", 1..2, create_later("again", 100))
                .says(
                    "w1",
                    from..from + 5,
                    by_id("w1", "not_ready").state(Scheduled),
                )
        };
        examine(asked, &[50, 100], &[102, 200]);
    }

    #[test]
    fn a_task_is_leased_before_its_time() {
        let lease = |at: i64| {
            before_all()
                .says("producer", 1..2, create_later("again", 100))
                .says("w1", at - 1..at + 1, leased("w1", 1, at..at + 100))
        };
        examine(lease, &[101, 300], &[50, 100]);
        let again = |at: i64| {
            working()
                .says("w1", 20..22, release_for(100, 1, "released").run_at(121))
                .says("w2", at - 1..at + 1, leased("w2", 2, at..at + 100))
        };
        examine(again, &[121], &[120]);
    }

    #[test]
    fn a_lease_that_ran_out_is_held() {
        let asked = |from| {
            let said = by_id("w2", "held").state(Running).owner("w1").until(111);
            working().says("w2", from..from + 2, said)
        };
        examine(asked, &[50, 110], &[111, 150]);
    }

    #[test]
    fn a_lease_is_said_to_be_held_by_somebody_else() {
        let asked = |(owner, until)| {
            let said = by_id("w2", "held").state(Running).owner(owner).until(until);
            working().says("w2", 50..52, said)
        };
        examine(asked, &[("w1", 111)], &[("w3", 111), ("w1", 112)]);
    }

    #[test]
    fn a_task_that_waits_for_a_slot_is_leased() {
        // Who gave it the slot, this history does not tell.
        let lease = |outcome: &'static str| {
            let created = create_bounded("again").state(Blocked);
            let said = match outcome {
                "acquired" => acquired("w1", 1, 21..121),
                _ => {
                    by_id("w1", "not_ready").state(if outcome == "ready" { Ready } else { Blocked })
                }
            };
            before_all()
                .says("producer", 1..2, created)
                .says("w1", 20..22, said)
        };
        examine(lease, &["blocked", "acquired"], &["ready"]);
        let unbounded =
            |state| before_all().says("p", 1..2, create("again", "created").state(state));
        examine(unbounded, &[Ready], &[Blocked, Scheduled, Running]);
    }
}

mod ends {
    use super::*;

    #[test]
    fn a_task_is_finalized_after_its_end() {
        let late = |said: Said| {
            working()
                .says(
                    "admin",
                    20..22,
                    cancel_by_force("cancelled").state(Cancelled),
                )
                .says("w1", 30..32, said)
        };
        examine(
            late,
            &[finalize(1, "terminal").state(Cancelled).at(21)],
            &[
                finalize(1, "finalized").at(31),
                finalize(1, "terminal").state(Completed).at(21),
                finalize(1, "lease_lost").state(Cancelled),
                finalize(1, "terminal").state(Cancelled).at(31),
                finalize(1, "already_finalized").state(Cancelled).at(21),
            ],
        );
    }

    #[test]
    fn finalized_is_answered_twice() {
        let second = |said: Said| completed().says("w1", 30..32, said);
        examine(
            second,
            &[finalize(1, "already_finalized").at(21)],
            &[
                finalize(1, "finalized").at(31),
                finalize(1, "finalized").at(21),
            ],
        );
    }

    #[test]
    fn other_values_are_taken_for_a_replay() {
        let replay = |(result, outcome): (&'static str, &'static str)| {
            working()
                .says("w1", 20..22, finalize(1, "finalized").result("a").at(21))
                .says("w1", 30..32, finalize(1, outcome).result(result).at(21))
        };
        examine(
            replay,
            &[
                ("a", "already_finalized"),
                ("b", "already_finalized_differently"),
            ],
            &[
                ("b", "already_finalized"),
                ("a", "already_finalized_differently"),
            ],
        );
    }

    #[test]
    fn a_replay_tells_another_time() {
        let replay = |at| completed().says("w1", 30..32, finalize(1, "already_finalized").at(at));
        examine(replay, &[21], &[20, 31]);
        // Also if the first answer was lost: the second and the third must tell the same.
        let replays = |(second, third)| {
            working()
                .says("w1", 20..29, finalize(1, "finalized").unanswered())
                .says("w1", 30..32, finalize(1, "already_finalized").at(second))
                .says("w1", 40..42, finalize(1, "already_finalized").at(third))
        };
        examine(replays, &[(21, 21), (25, 25)], &[(21, 25), (19, 19)]);
    }

    #[test]
    fn already_finalized_is_answered_to_another_token() {
        let late = |said: Said| {
            taken_over()
                .says("w2", 200..202, finalize(2, "finalized").at(201))
                .says("late", 210..212, said)
        };
        examine(
            late,
            &[
                finalize(1, "terminal").at(201),
                finalize(2, "already_finalized").at(201),
            ],
            &[
                finalize(1, "already_finalized").at(201),
                finalize(1, "lease_lost").state(Running),
                finalize(2, "terminal").at(201),
            ],
        );
    }

    #[test]
    fn terminal_is_answered_before_anything_ended_it() {
        let asked = |begun: i64| {
            working()
                .says("other", 20..25, heartbeat(1, "terminal"))
                .says(
                    "w1",
                    begun..begun + 5,
                    finalize(1, "finalized").at(begun + 1),
                )
        };
        examine(asked, &[15, 20, 24], &[26, 40]);
    }

    #[test]
    fn a_cancelled_task_is_leased() {
        let lease = |begun: i64| {
            story()
                .says("admin", 20..22, cancel("cancelled").state(Cancelled))
                .says(
                    "w1",
                    begun..begun + 2,
                    leased("w1", 1, begun + 1..begun + 101),
                )
        };
        examine(lease, &[], &[18, 23]);
        let late = |said: Said| {
            story()
                .says("admin", 20..22, cancel("cancelled").state(Cancelled))
                .says("w1", 30..32, said)
        };
        examine(
            late,
            &[by_id("w1", "terminal").state(Cancelled)],
            &[acquired("w1", 1, 31..131)],
        );
    }

    #[test]
    fn a_forced_cancel_leaves_the_lease() {
        let late = |said: Said| {
            working()
                .says(
                    "admin",
                    20..22,
                    cancel_by_force("cancelled").state(Cancelled),
                )
                .says("w1", 30..32, said)
        };
        examine(
            late,
            &[heartbeat(1, "terminal")],
            &[heartbeat(1, "extended").until(131)],
        );
    }

    #[test]
    fn a_requested_cancel_is_forgotten_by_a_heartbeat() {
        let beat = |said: Said| {
            working()
                .says("admin", 20..22, cancel("cancel_requested").state(Running))
                .says("w1", 30..32, said)
        };
        examine(
            beat,
            &[
                heartbeat(1, "extended").until(131).told_of_cancel(),
                append(1, "appended").seq(3).at(31).told_of_cancel(),
            ],
            &[
                heartbeat(1, "extended").until(131),
                append(1, "appended").seq(3).at(31),
            ],
        );
    }

    #[test]
    fn a_cancel_is_told_that_nobody_requested() {
        let beat = |said: Said| working().says("w1", 30..32, said);
        examine(
            beat,
            &[heartbeat(1, "extended").until(131)],
            &[heartbeat(1, "extended").until(131).told_of_cancel()],
        );
    }

    #[test]
    fn a_requested_cancel_is_forgotten_when_the_lease_runs_out() {
        let reap = |outcome: &'static str| {
            working()
                .says("admin", 20..22, cancel("cancel_requested").state(Running))
                .says("reaper", 150..152, reaped(outcome))
        };
        examine(reap, &["cancelled"], &["requeued", "failed"]);
    }

    #[test]
    fn a_requested_cancel_is_forgotten_when_the_lease_is_given_back() {
        let back = |said: Said| {
            working()
                .says("admin", 20..22, cancel("cancel_requested").state(Running))
                .says("w1", 30..32, said)
        };
        examine(
            back,
            &[
                release(1, "cancelled"),
                fail(1, "finalized").state(Cancelled),
                // The worker may end it in any state.
                finalize(1, "finalized").at(31),
            ],
            &[
                release(1, "released").run_at(31),
                fail(1, "retry_scheduled").state(Scheduled).run_at(35),
                fail(1, "finalized").state(Failed),
            ],
        );
    }

    #[test]
    fn what_is_not_running_is_only_asked_to_stop() {
        let asked = |said: Said| story().says("admin", 20..22, said);
        examine(
            asked,
            &[cancel("cancelled").state(Cancelled)],
            &[
                cancel("cancel_requested").state(Ready),
                cancel("cancelled").state(Ready),
            ],
        );
    }

    #[test]
    fn the_last_attempt_is_tried_again() {
        let third = |said: Said| {
            working()
                .says(
                    "w1",
                    20..22,
                    fail_retrying_after(0, 1, "retry_scheduled")
                        .state(Ready)
                        .run_at(21),
                )
                .says("w2", 30..32, leased("w2", 2, 31..131).attempt(2))
                .says(
                    "w2",
                    40..42,
                    fail_retrying_after(0, 2, "retry_scheduled")
                        .state(Ready)
                        .run_at(41),
                )
                .says("w3", 50..52, leased("w3", 3, 51..151).attempt(3))
                .says("w3", 60..62, said)
        };
        examine(
            third,
            &[fail(3, "finalized").state(Failed)],
            &[
                fail(3, "retry_scheduled").state(Scheduled).run_at(75),
                fail(3, "finalized").state(Quarantined),
            ],
        );
    }

    #[test]
    fn a_retry_comes_too_early_or_too_late() {
        let retry = |run_at| {
            let said = fail(1, "retry_scheduled").state(Scheduled).run_at(run_at);
            working().says("w1", 20..22, said)
        };
        // 2.5 to 5 ms after the first attempt.
        examine(retry, &[23, 27], &[22, 28, 1021]);
    }

    #[test]
    fn a_replayed_retry_is_answered_otherwise() {
        let replay = |(state, run_at)| {
            working()
                .says(
                    "w1",
                    20..22,
                    fail(1, "retry_scheduled").state(Scheduled).run_at(25),
                )
                .says("w2", 50..52, leased("w2", 2, 51..151).attempt(2))
                .says(
                    "w1",
                    60..62,
                    fail(1, "retry_scheduled").state(state).run_at(run_at),
                )
        };
        examine(replay, &[(Scheduled, 25)], &[(Ready, 25), (Scheduled, 64)]);
    }

    #[test]
    fn a_replayed_release_is_answered_otherwise() {
        let replay = |run_at| {
            working()
                .says("w1", 20..22, release_for(10, 1, "released").run_at(31))
                .says("w1", 60..62, release_for(10, 1, "released").run_at(run_at))
        };
        examine(replay, &[31], &[32, 71]);
        let replays = |(second, third)| {
            working()
                .says("w1", 20..29, release_for(10, 1, "released").unanswered())
                .says("w1", 60..62, release_for(10, 1, "released").run_at(second))
                .says("w1", 70..72, release_for(10, 1, "released").run_at(third))
        };
        examine(replays, &[(31, 31), (71, 71)], &[(31, 71), (29, 29)]);
    }

    #[test]
    fn a_read_shows_another_end() {
        let read = |(at, reason): (i64, Option<&'static str>)| {
            let said = shows(Cancelled).ended(at, reason).seq(2).attempt(1);
            working()
                .says(
                    "admin",
                    20..22,
                    cancel_by_force("cancelled").state(Cancelled),
                )
                .says("reader", 30..32, said)
        };
        examine(
            read,
            &[(20, Some("forced")), (22, Some("forced"))],
            &[(31, Some("forced")), (21, Some("cancelled")), (21, None)],
        );
    }

    #[test]
    fn a_task_is_redriven_twice() {
        let twice = |(second, id): (&'static str, i64)| {
            working()
                .says("w1", 20..22, finalize_as(Failed, 1, "finalized").at(21))
                .says("admin", 30..32, redrive("redriven").new_task(7))
                .says("admin", 40..42, redrive(second).new_task(id))
        };
        examine(
            twice,
            &[("already_redriven", 7)],
            &[("redriven", 8), ("already_redriven", 8)],
        );
        let replays = |(second, third)| {
            working()
                .says("w1", 20..22, finalize_as(Failed, 1, "finalized").at(21))
                .says("admin", 30..32, redrive("redriven").unanswered())
                .says(
                    "admin",
                    40..42,
                    redrive("already_redriven").new_task(second),
                )
                .says("admin", 50..52, redrive("already_redriven").new_task(third))
        };
        examine(replays, &[(7, 7)], &[(7, 8)]);
    }

    #[test]
    fn what_is_done_is_redriven() {
        let done = |said: Said| completed().says("admin", 30..32, said);
        examine(
            done,
            &[redrive("completed")],
            &[redrive("redriven").new_task(7)],
        );
        let running = |said: Said| working().says("admin", 30..32, said);
        examine(
            running,
            &[redrive("not_terminal")],
            &[redrive("redriven").new_task(7)],
        );
    }

    #[test]
    fn a_task_is_created_twice() {
        let second = |said: Said| story().says("producer", 10..12, said);
        examine(
            second,
            &[create("again", "exists").state(Ready)],
            &[
                create("again", "created").state(Ready),
                create("again", "exists").state(Running),
                create("once", "exists").state(Ready),
            ],
        );
    }

    #[test]
    fn a_task_that_exists_is_not_found() {
        let asked = |begun: i64| {
            before_all()
                .says("producer", 10..20, create("again", "created").state(Ready))
                .says("admin", begun..begun + 2, cancel("not_found"))
        };
        examine(asked, &[1, 10, 19], &[21, 50]);
    }
}

/// Tasks of runs with a definition, which may be paused and called off.
mod runs {
    use super::*;
    use crate::spec::{Flow, Time};

    /// A task whose run was cancelled at 50.
    fn in_cancelled() -> Story {
        in_run(50 * MS, 50 * MS)
    }

    fn in_run(called_off: Time, cancelled: Time) -> Story {
        let act = Act::Create {
            queue: index("again"),
            max_attempts: None,
            delay: 0,
            bounded: false,
            in_run: true,
            undoes: false,
            flow: Some(Flow {
                called_off,
                cancelled,
            }),
        };
        before_all().says("producer", 1..2, Said::new(act, "created").state(Ready))
    }

    fn leased_there(story: Story) -> Story {
        story.says("w1", 10..12, leased("w1", 1, 11..111))
    }

    #[test]
    fn a_task_is_called_off_before_its_run() {
        let ended = |at: i64| {
            let shown = shows(Cancelled).seq(1).ended(at, Some("run_cancelled"));
            in_cancelled().says("reader", 80..82, shown)
        };
        examine(ended, &[50, 60], &[40, 90]);
    }

    #[test]
    fn a_task_is_called_off_that_is_in_no_run() {
        let ended = |story: Story| {
            let shown = shows(Cancelled).seq(1).ended(60, Some("run_cancelled"));
            story.says("reader", 80..82, shown)
        };
        examine(ended, &[in_cancelled()], &[story()]);
    }

    #[test]
    fn what_runs_is_ended_by_a_failure() {
        let refused = |cancelled: Time| {
            leased_there(in_run(50 * MS, cancelled)).says(
                "w1",
                80..82,
                finalize(1, "terminal").state(Cancelled).at(60),
            )
        };
        examine(refused, &[50 * MS], &[Time::MAX]);
    }

    #[test]
    fn a_worker_is_asked_to_stop_before_its_run_is_cancelled() {
        let told = |from: i64| {
            let until = from + 101;
            let told = heartbeat(1, "extended").until(until).told_of_cancel();
            leased_there(in_cancelled()).says("w1", from..from + 2, told)
        };
        examine(told, &[50, 60], &[30]);
    }

    #[test]
    fn a_worker_that_was_asked_by_the_run_ends_for_another_reason() {
        let ended = |reason: &'static str| {
            let shown = shows(Cancelled)
                .seq(3)
                .attempt(1)
                .ended(61, Some(reason))
                .with(|r| r.cancel_requested = Some(true));
            leased_there(in_cancelled())
                .says("w1", 60..62, release(1, "cancelled"))
                .says("reader", 80..82, shown)
        };
        examine(ended, &["run_cancelled"], &["cancelled", "forced"]);
    }

    #[test]
    fn a_task_in_no_run_is_blocked() {
        let found =
            |story: Story| story.says("w1", 10..12, by_id("w1", "not_ready").state(Blocked));
        examine(found, &[in_cancelled()], &[story()]);
    }

    #[test]
    fn a_retry_in_no_run_is_blocked_or_its_replay_tells_otherwise() {
        let retried = |(story, first, second): (Story, State, State)| {
            let failed = |state| {
                fail_retrying_after(0, 1, "retry_scheduled")
                    .state(state)
                    .run_at(21)
            };
            leased_there(story)
                .says("w1", 20..22, failed(first))
                .says("w1", 30..32, failed(second))
        };
        examine(
            retried,
            &[
                (in_cancelled(), Blocked, Blocked),
                (in_cancelled(), Ready, Ready),
                (
                    before_all().says("producer", 1..2, create("again", "created")),
                    Ready,
                    Ready,
                ),
            ],
            &[
                (in_cancelled(), Blocked, Ready),
                (in_cancelled(), Ready, Blocked),
                (
                    before_all().says("producer", 1..2, create("again", "created")),
                    Blocked,
                    Blocked,
                ),
            ],
        );
    }

    #[test]
    fn a_task_of_a_group_is_redriven() {
        let redriven = |story: Story| {
            story
                .says("admin", 5..6, cancel("cancelled").state(Cancelled))
                .says("admin", 20..22, redrive("redriven").new_task(9))
        };
        let group = before_all().says("producer", 1..2, create_bounded("again").state(Ready));
        examine(redriven, &[in_cancelled(), story()], &[group]);
    }
}

mod sagas;

mod tapes {
    use super::*;

    #[test]
    fn a_seq_is_left_out() {
        let second = |seq| {
            working()
                .says("w1", 20..22, append(1, "appended").seq(2).at(21))
                .says("w1", 30..32, append(1, "appended").seq(seq).at(31))
        };
        examine(second, &[3], &[4, 1]);
    }

    #[test]
    fn a_seq_is_given_twice() {
        let both = |(first, second)| {
            working()
                .says("w1", 20..40, append(1, "appended").seq(first).at(30))
                .says("w1", 20..40, append(1, "appended").seq(second).at(30))
        };
        // Which of two that overlap came first is nobody's business.
        examine(both, &[(2, 3), (3, 2)], &[(2, 2), (3, 3)]);
    }

    #[test]
    fn an_event_comes_after_the_final_one() {
        let late = |said: Said| completed().says("w1", 30..32, said);
        examine(
            late,
            &[append(1, "dropped_after_final").seq(2)],
            &[
                append(1, "appended").seq(3).at(31),
                append(1, "dropped_after_final").seq(3),
                append(1, "lease_lost"),
            ],
        );
    }

    #[test]
    fn the_final_event_is_not_the_last() {
        let read = |events: &'static [(&'static str, Option<i64>)]| {
            working()
                .says("w1", 15..17, append(1, "appended").seq(2).at(16))
                .says("w1", 20..22, finalize(1, "finalized").at(21))
                .says("reader", 30..32, tape(events))
        };
        const RIGHT: &[(&str, Option<i64>)] = &[
            ("leased", Some(1)),
            ("progress", Some(1)),
            ("final", Some(1)),
        ];
        examine(
            read,
            &[RIGHT],
            &[
                &[
                    ("leased", Some(1)),
                    ("final", Some(1)),
                    ("progress", Some(1)),
                ],
                &[("leased", Some(1)), ("progress", Some(1))],
                &[("leased", Some(1)), ("final", Some(1)), ("final", Some(1))],
                &[
                    ("leased", Some(1)),
                    ("progress", Some(2)),
                    ("final", Some(1)),
                ],
                &[("leased", Some(1)), ("progress", Some(1)), ("final", None)],
            ],
        );
    }

    #[test]
    fn a_tail_misses_an_event() {
        let read = |events: &'static [(&'static str, Option<i64>)]| {
            taken_over()
                .says("admin", 200..202, cancel("cancel_requested").state(Running))
                .says("reader", 210..212, tape_after(1, events))
        };
        examine(
            read,
            &[&[
                ("lease_lost", Some(1)),
                ("leased", Some(2)),
                ("cancel_requested", None),
            ]],
            &[
                &[("leased", Some(2)), ("cancel_requested", None)],
                &[("lease_lost", Some(1)), ("leased", Some(2))],
                &[],
            ],
        );
    }

    #[test]
    fn a_cancel_is_noted_twice() {
        let noted = |times: i64| {
            let read = shows(Running).held("w1", 1, 11..111).attempt(1);
            working()
                .says("a", 20..22, cancel("cancel_requested").state(Running))
                .says("b", 30..32, cancel("cancel_requested").state(Running))
                .says("reader", 40..42, read.seq(1 + times).told_of_cancel())
        };
        examine(noted, &[1], &[0, 2]);
    }

    #[test]
    fn a_dedup_key_is_appended_twice() {
        let second = |said: Said| {
            working()
                .says("w1", 20..22, append_once("k", 1, "appended").seq(2).at(21))
                .says("w1", 30..32, said)
        };
        examine(
            second,
            &[
                append_once("k", 1, "exists").seq(2).at(21),
                append_once("l", 1, "appended").seq(3).at(31),
            ],
            &[
                append_once("k", 1, "appended").seq(3).at(31),
                append_once("k", 1, "exists").seq(3).at(21),
                append_once("k", 1, "exists").seq(2).at(31),
                append_once("l", 1, "exists").seq(2).at(21),
            ],
        );
    }

    #[test]
    fn an_annotation_is_lost() {
        let read = |keys: &'static [&'static str]| {
            story()
                .says("admin", 10..12, annotate("a", "annotated"))
                .says("admin", 20..22, annotate("b", "annotated"))
                .says("reader", 30..32, shows(Ready).keys(keys))
        };
        examine(
            read,
            &[&["a", "b"]],
            &[&["a"], &["b"], &[], &["a", "b", "c"]],
        );
    }
}

mod crashes {
    use super::*;

    /// What is acknowledged to who set `synchronous_commit = off`, or to who did not; then the server goes down.
    fn before_a_crash(careless: bool, said: Said, read: Said) -> Story {
        let told = if careless {
            working().careless("c")
        } else {
            working()
        };
        told.says("c", 20..22, said)
            .crash(30..40)
            .says("reader", 50..52, read)
    }

    fn running() -> Said {
        shows(Running).held("w1", 1, 11..111).attempt(1).seq(1)
    }

    #[test]
    fn an_acknowledged_finalize_is_lost() {
        let done = shows(Completed).ended(21, None).attempt(1).seq(2);
        let crash = |(careless, read): (bool, Said)| {
            before_a_crash(careless, finalize(1, "finalized").at(21), read)
        };
        examine(
            crash,
            &[(false, done.clone()), (true, done)],
            &[(false, running()), (true, running())],
        );
    }

    #[test]
    fn an_acknowledged_lease_is_lost() {
        let crash = |read: Said| {
            story()
                .careless("w1")
                .says("w1", 10..12, leased("w1", 1, 11..111))
                .crash(30..40)
                .says("reader", 50..52, read)
        };
        examine(crash, &[running()], &[shows(Ready)]);
    }

    #[test]
    fn an_acknowledged_cancel_is_lost() {
        let crash = |(said, read): (Said, Said)| before_a_crash(true, said, read);
        let ended = shows(Cancelled).ended(21, Some("forced")).attempt(1).seq(2);
        let forced = cancel_by_force("cancelled").state(Cancelled);
        let asked = cancel("cancel_requested").state(Running);
        examine(
            crash,
            &[(forced.clone(), ended), (asked, running())],
            &[(forced, running())],
        );
    }

    #[test]
    fn what_was_flushed_is_lost() {
        let appended = append(1, "appended").seq(2).at(21);
        let extended = heartbeat(1, "extended").until(121);
        let annotated = annotate("a", "annotated");
        let crash = |(careless, said): (bool, Said)| before_a_crash(careless, said, running());
        examine(
            crash,
            &[
                (true, appended.clone()),
                (true, extended.clone()),
                (true, annotated.clone()),
            ],
            &[(false, appended), (false, extended), (false, annotated)],
        );
    }

    #[test]
    fn what_was_not_flushed_is_lost_without_a_crash() {
        let read = |crashed: bool| {
            let told =
                working()
                    .careless("c")
                    .says("c", 20..22, append(1, "appended").seq(2).at(21));
            let told = if crashed { told.crash(30..40) } else { told };
            told.says("reader", 50..52, running())
        };
        examine(read, &[true], &[false]);
    }

    #[test]
    fn what_came_after_the_crash_is_lost() {
        let read = |begun: i64| {
            working()
                .careless("c")
                .says(
                    "c",
                    begun..begun + 2,
                    append(1, "appended").seq(2).at(begun + 1),
                )
                .crash(30..40)
                .says("reader", 70..72, running())
        };
        examine(read, &[20, 35, 39], &[41, 60]);
    }

    #[test]
    fn a_created_task_is_lost() {
        let read = |careless: bool| {
            let told = if careless {
                before_all().careless("p")
            } else {
                before_all()
            };
            told.says("p", 1..2, create("again", "created").state(Ready))
                .crash(30..40)
                .says("reader", 50..52, shows_nothing())
        };
        examine(read, &[true], &[false]);
    }

    #[test]
    fn the_earlier_of_two_changes_is_lost() {
        let read = |keys: &'static [&'static str]| {
            story()
                .careless("c")
                .says("c", 10..12, annotate("a", "annotated"))
                .says("c", 20..22, annotate("b", "annotated"))
                .crash(30..40)
                .says("reader", 50..52, shows(Ready).keys(keys))
        };
        examine(read, &[&["a", "b"], &["a"], &[]], &[&["b"]]);
    }

    #[test]
    fn what_was_flushed_with_a_later_change_is_lost() {
        let read = |careful: bool| {
            let told = story()
                .careless("c")
                .says("c", 10..12, annotate("a", "annotated"));
            // A change by who waits for the flush; or one who only reads.
            if careful {
                told.says("w1", 15..17, leased("w1", 1, 16..116))
                    .says("w1", 20..22, release(1, "released").run_at(21))
                    .crash(30..40)
                    .says("reader", 50..52, shows(Ready).seq(2))
            } else {
                told.says("w1", 20..22, shows(Ready).keys(&["a"]))
                    .crash(30..40)
                    .says("reader", 50..52, shows(Ready))
            }
        };
        examine(read, &[false], &[true]);
    }

    #[test]
    fn a_refusal_flushes_nothing() {
        let read = |keys: &'static [&'static str]| {
            story()
                .careless("c")
                .says("c", 10..12, annotate("a", "annotated"))
                .says("w1", 20..22, finalize(1, "lease_lost").state(Ready))
                .crash(30..40)
                .says("reader", 50..52, shows(Ready).keys(keys))
        };
        examine(read, &[&["a"], &[]], &[&["b"]]);
    }

    #[test]
    fn what_was_flushed_with_another_tasks_change_is_lost() {
        let read = |flush: Range<i64>| {
            story()
                .careless("c")
                .says("c", 10..12, annotate("a", "annotated"))
                .flushed_elsewhere(flush)
                .crash(30..40)
                .says("reader", 50..52, shows(Ready))
        };
        // It must have begun after the change was acknowledged, and ended before the server went down.
        examine(read, &[11..13, 25..31, 45..46], &[13..14, 25..29]);
    }

    #[test]
    fn a_finalize_without_an_answer_is_undone() {
        let done = || shows(Completed).attempt(1).seq(2).ended(25, None);
        let read = |(first, second): (Said, Said)| {
            working()
                .says("w1", 20..29, finalize(1, "finalized").unanswered())
                .says("reader", 40..42, first)
                .says("reader", 50..52, second)
        };
        examine(
            read,
            &[
                (done(), done()),
                (running(), running()),
                (running(), done()),
            ],
            &[(done(), running())],
        );
        let crashed = |(first, second): (Said, Said)| {
            working()
                .careless("w1")
                .says("w1", 20..29, finalize(1, "finalized").unanswered())
                .says("reader", 40..42, first)
                .crash(43..45)
                .says("reader", 50..52, second)
        };
        examine(
            crashed,
            &[(done(), done()), (running(), running())],
            &[(done(), running())],
        );
    }

    #[test]
    fn a_call_has_its_effect_before_it_was_made() {
        let read = |begun: i64| {
            working()
                .says(
                    "w1",
                    begun..begun + 2,
                    finalize(1, "finalized").unanswered(),
                )
                .says("reader", 40..42, heartbeat(1, "terminal"))
        };
        examine(read, &[20, 41], &[43, 60]);
    }
}

mod transactions {
    use super::*;

    fn appended(seq: i64, at: i64) -> Said {
        append(1, "appended").seq(seq).at(at)
    }

    fn running_with(seq: i64) -> Said {
        shows(Running).held("w1", 1, 11..111).attempt(1).seq(seq)
    }

    #[test]
    fn what_was_rolled_back_shows() {
        let read = |(fate, seq)| {
            working()
                .tx("w1", 30..32, fate, vec![call(20..22, appended(2, 21))])
                .says("reader", 40..42, running_with(seq))
        };
        examine(
            read,
            &[
                (Fate::RolledBack, 1),
                (Fate::Committed, 2),
                (Fate::Unknown, 1),
                (Fate::Unknown, 2),
            ],
            &[(Fate::RolledBack, 2), (Fate::Committed, 1)],
        );
    }

    #[test]
    fn a_transaction_without_an_answer_is_half_there() {
        let both = |seq| {
            let calls = vec![call(20..22, appended(2, 21)), call(24..26, appended(3, 25))];
            working().tx("w1", 30..32, Fate::Unknown, calls).says(
                "reader",
                40..42,
                running_with(seq),
            )
        };
        examine(both, &[1, 3], &[2]);
    }

    #[test]
    fn a_transaction_without_an_answer_was_told_nonsense() {
        let told = |seq| {
            working()
                .tx(
                    "w1",
                    30..32,
                    Fate::Unknown,
                    vec![call(20..22, appended(seq, 21))],
                )
                .says("reader", 40..42, running_with(1))
        };
        examine(told, &[2], &[1, 3]);
    }

    #[test]
    fn a_transaction_is_seen_before_its_commit() {
        let read = |begun: i64| {
            working()
                .tx(
                    "w1",
                    50..52,
                    Fate::Committed,
                    vec![call(20..22, appended(2, 21))],
                )
                .says("reader", begun..begun + 2, running_with(2))
        };
        examine(read, &[49, 51, 60], &[23, 40, 47]);
        let unknown = |begun: i64| {
            working()
                .tx(
                    "w1",
                    50..52,
                    Fate::Unknown,
                    vec![call(20..22, appended(2, 21))],
                )
                .says("reader", begun..begun + 2, running_with(2))
        };
        examine(unknown, &[49, 60], &[30, 47]);
    }

    #[test]
    fn a_transaction_does_not_see_itself() {
        let own = |seq| {
            let calls = vec![
                call(20..22, appended(2, 21)),
                call(24..26, running_with(seq)),
            ];
            working().tx("w1", 30..32, Fate::Committed, calls)
        };
        examine(own, &[2], &[1, 3]);
    }

    #[test]
    fn what_was_undone_to_a_savepoint_shows() {
        let read = |(undone, seq): (bool, i64)| {
            let mut parts = vec![
                call(20..22, appended(2, 21)),
                Part::Savepoint,
                call(24..26, appended(3, 25)),
            ];
            if undone {
                parts.push(Part::RollBackTo);
            }
            working().tx("w1", 30..32, Fate::Committed, parts).says(
                "reader",
                40..42,
                running_with(seq),
            )
        };
        examine(
            read,
            &[(true, 2), (false, 3)],
            &[(true, 3), (true, 1), (false, 2)],
        );
    }

    #[test]
    fn a_seq_is_not_used_again_after_a_savepoint() {
        let again = |seq| {
            let parts = vec![
                call(20..22, appended(2, 21)),
                Part::Savepoint,
                call(23..24, appended(3, 23)),
                Part::RollBackTo,
                call(25..26, appended(seq, 25)),
            ];
            working().tx("w1", 30..32, Fate::Committed, parts)
        };
        examine(again, &[3], &[4, 2]);
    }

    #[test]
    fn a_read_shows_what_was_before_an_acknowledged_end() {
        let read = |begun: i64| completed().says("reader", begun..begun + 3, running_with(1));
        examine(read, &[13, 19, 22], &[23, 40]);
    }

    #[test]
    fn a_read_goes_back_in_time() {
        let reads = |(first, second): (i64, i64)| {
            working()
                .says("w1", 20..90, appended(2, 50))
                .says("r1", 30..32, running_with(first))
                .says("r2", 40..42, running_with(second))
        };
        examine(reads, &[(1, 1), (1, 2), (2, 2)], &[(2, 1)]);
    }

    #[test]
    fn two_are_answered_that_they_ended_it() {
        let both = |(mine, theirs): (Said, Said)| {
            working()
                .says("w1", 20..40, mine)
                .says("admin", 20..40, theirs)
        };
        let finalized = finalize(1, "finalized").at(30);
        let cancelled = cancel_by_force("cancelled").state(Cancelled);
        examine(
            both,
            &[
                (
                    finalized.clone(),
                    cancel_by_force("terminal").state(Completed),
                ),
                (
                    finalize(1, "terminal").state(Cancelled).at(30),
                    cancelled.clone(),
                ),
            ],
            &[
                (finalized, cancelled),
                (
                    finalize(1, "terminal").state(Cancelled).at(30),
                    cancel_by_force("terminal").state(Completed),
                ),
            ],
        );
    }
}

/// Histories as the clients write them down, and what the database shows at the end.
mod clients {
    use super::*;
    use crate::history::{Answer, Entry, Stamp, Verb};
    use crate::project::{self, Last, TapeEvent};

    /// The columns of a row, with blanks between; `-`: NULL; `11ms`: a time.
    fn row(text: &str) -> Vec<Option<String>> {
        let column = |word: &str| match word.strip_suffix("ms") {
            _ if word == "-" => None,
            Some(ms) => Some((ms.parse::<i64>().expect("a time") * MS).to_string()),
            None => Some(word.to_owned()),
        };
        text.split_whitespace().map(column).collect()
    }

    fn rows(texts: &[&str]) -> Answer {
        Answer::Rows(texts.iter().map(|text| row(text)).collect())
    }

    fn error(code: &str) -> Answer {
        Answer::Error {
            code: code.to_owned(),
            message: String::new(),
        }
    }

    fn lost() -> Answer {
        Answer::Lost("connection closed".to_owned())
    }

    fn stamp(ms: i64) -> Stamp {
        Stamp {
            mono: ms * MONO,
            wall: ms * MS,
        }
    }

    fn acquire(owner: &str) -> Verb {
        Verb::Acquire {
            queue: "again".to_owned(),
            owner: owner.to_owned(),
            ttl_ms: 100,
            max_tasks: 1,
        }
    }

    fn finalize(task: i64, token: i64) -> Verb {
        Verb::Finalize {
            task,
            token,
            state: "completed".to_owned(),
            result: None,
        }
    }

    fn heartbeat(task: i64, token: i64) -> Verb {
        Verb::Heartbeat {
            task,
            token,
            ttl_ms: 100,
        }
    }

    fn annotate(task: i64) -> Verb {
        Verb::Annotate {
            task,
            token: None,
            key: "a".to_owned(),
        }
    }

    fn dispatch(task: i64) -> Verb {
        Verb::Dispatch {
            task,
            successor: "after".to_owned(),
            queue: "again".to_owned(),
        }
    }

    fn create_items(max_parallel: i32) -> Verb {
        Verb::CreateItems {
            queue: "again".to_owned(),
            name: "group".to_owned(),
            items: 2,
            max_parallel: Some(max_parallel),
            successor: None,
        }
    }

    /// One client's history.
    struct Client {
        entries: Vec<Entry>,
        tx: u64,
    }

    fn client(name: &str) -> Client {
        connected(name, true)
    }

    /// One that has set `synchronous_commit = off`.
    fn careless(name: &str) -> Client {
        connected(name, false)
    }

    fn connected(name: &str, flushed: bool) -> Client {
        let name = name.to_owned();
        Client {
            entries: vec![Entry::Client { name, flushed }, Entry::Connected { pid: 1 }],
            tx: 0,
        }
    }

    impl Client {
        fn calls(mut self, when: Range<i64>, verb: Verb, answer: Answer) -> Client {
            self.tx += 1;
            self.call(when, true, verb, answer)
        }

        fn begins(self) -> Client {
            self.begins_at("READ COMMITTED")
        }

        fn begins_at(mut self, isolation: &str) -> Client {
            self.tx += 1;
            self.with(|tx| Entry::Begin {
                tx,
                isolation: isolation.to_owned(),
            })
        }

        /// Within its transaction.
        fn then(self, when: Range<i64>, verb: Verb, answer: Answer) -> Client {
            self.call(when, false, verb, answer)
        }

        fn commits(self, when: Range<i64>, committed: Option<bool>) -> Client {
            self.with(|tx| Entry::Commit {
                tx,
                stamp: stamp(when.start),
            })
            .with(|tx| Entry::Ended {
                tx,
                committed,
                stamp: stamp(when.end),
            })
        }

        fn rolls_back(self, ms: i64) -> Client {
            self.with(|tx| Entry::Ended {
                tx,
                committed: Some(false),
                stamp: stamp(ms),
            })
        }

        fn call(self, when: Range<i64>, alone: bool, verb: Verb, answer: Answer) -> Client {
            self.with(|tx| Entry::Call {
                tx,
                alone,
                verb,
                stamp: stamp(when.start),
            })
            .with(|tx| Entry::Answer {
                tx,
                answer,
                stamp: stamp(when.end),
            })
        }

        fn with(mut self, entry: impl FnOnce(u64) -> Entry) -> Client {
            self.entries.push(entry(self.tx));
            self
        }
    }

    fn crash(when: Range<i64>) -> Client {
        let (down, up) = (stamp(when.start), stamp(when.end));
        Client {
            entries: vec![Entry::Crash { down, up }],
            tx: 0,
        }
    }

    /// A task at the end: state, attempt, lost_leases, lease_token, lease_expires_at, owner, last_seq, whether a cancel
    /// was requested, result, reason, finalized_at, metadata, whether it was started, run_at, leased_at. Its tape: kind,
    /// token, time, owner.
    fn last(task: i64, columns: &str, tape: &[&str]) -> Last {
        let event = |(i, text): (usize, &&str)| {
            let words = row(text);
            let number = |i: usize| words[i].as_ref().and_then(|n| n.parse::<i64>().ok());
            TapeEvent {
                seq: i as i64 + 1,
                kind: words[0].clone().expect("an event has a kind"),
                token: number(1),
                at: number(2).expect("an event has a time"),
                owner: words.get(3).cloned().flatten(),
                body: serde_json::Value::Null,
            }
        };
        Last {
            task,
            queue: "again".to_owned(),
            name: None,
            key: None,
            run: None,
            step: None,
            item_index: None,
            max_attempts: 3,
            slot_keys: Vec::new(),
            created_at: 0,
            compensations: Vec::new(),
            columns: row(columns),
            tape: tape.iter().enumerate().map(event).collect(),
        }
    }

    /// Nobody has touched it.
    fn untouched(task: i64) -> Last {
        last(task, "ready 0 0 - - - 0 f - - - {} f - -", &[])
    }

    /// It was leased once, at 11, and is still.
    fn held(task: i64, token: i64, owner: &str) -> Last {
        let columns = format!("running 1 0 {token} 111ms {owner} 1 f - - - {{}} f - 11ms");
        last(task, &columns, &[&format!("leased {token} 11ms {owner}")])
    }

    /// It was leased once, at 11, and completed by the holder.
    fn done(task: i64, token: i64, owner: &str, at: i64) -> Last {
        last(
            task,
            &format!("completed 1 0 - - - 2 f - - {at}ms {{}} f - 11ms"),
            &[
                &format!("leased {token} 11ms {owner}"),
                &format!("final {token} {at}ms"),
            ],
        )
    }

    /// What is said against it.
    fn verdict(clients: Vec<Client>, last: &[Last]) -> Vec<String> {
        let clients: Vec<_> = clients.into_iter().map(|client| client.entries).collect();
        let end = (stamp(9000), stamp(9001));
        let projected = project::project(&queues(), &clients, last, &[], end);
        let mut said = projected.violations;
        for (task, ops) in &projected.tasks {
            if let Err(why) = checker::check(&queues(), ops) {
                said.push(format!("task {task}: {why}"));
            }
        }
        said
    }

    fn legal(clients: Vec<Client>, last: &[Last]) {
        let said = verdict(clients, last);
        assert!(said.is_empty(), "it is legal: {said:#?}");
    }

    /// `why`: how what is said against it begins.
    fn illegal(why: &str, clients: Vec<Client>, last: &[Last]) {
        let said = verdict(clients, last);
        let rightly = said.iter().any(|said| said.starts_with(why));
        assert!(rightly, "it is illegal because of {why}: {said:#?}");
    }

    #[test]
    fn a_token_is_handed_out_twice() {
        let both = |second: i64| {
            let answer = format!("2 {second} 121ms 1 0");
            vec![
                client("c1").calls(10..12, acquire("w1"), rows(&["1 5 111ms 1 0"])),
                client("c2")
                    .begins()
                    .then(20..22, acquire("w2"), rows(&[&answer]))
                    .rolls_back(30),
            ]
        };
        let last = [held(1, 5, "w1"), untouched(2)];
        legal(both(6), &last);
        illegal("A2", both(5), &last);
    }

    #[test]
    fn a_token_is_handed_out_again_after_a_crash() {
        let again = |committed, crashed: bool, flushed: bool| {
            let mut clients = vec![
                client("c1")
                    .begins()
                    .then(10..12, acquire("w1"), rows(&["1 5 111ms 1 0"]))
                    .commits(20..21, committed),
                client("c2").calls(60..62, acquire("w2"), rows(&["2 5 161ms 1 0"])),
            ];
            if flushed {
                clients.push(client("c3").calls(14..16, annotate(3), rows(&["annotated"])));
            }
            if crashed {
                clients.push(crash(40..50));
            }
            clients
        };
        let columns = "running 1 0 5 161ms w2 1 f - - - {} f - 61ms";
        let second = last(2, columns, &["leased 5 61ms w2"]);
        let third = last(3, r#"ready 0 0 - - - 0 f - - - {"a":1} f - -"#, &[]);
        let last = [untouched(1), second, third];
        legal(again(None, true, false), &last[..2]);
        illegal("A2", again(None, false, false), &last[..2]);
        illegal("A2", again(Some(true), true, false), &last[..2]);
        // What came later was on disk: so was the token.
        illegal("A2", again(None, true, true), &last);
    }

    #[test]
    fn a_token_stands_on_two_tapes() {
        let two = |first: i64| [held(1, first, "w1"), held(2, 5, "w1")];
        let asked = || vec![client("c1").calls(10..12, acquire("w1"), lost())];
        illegal("A2", asked(), &two(5));
    }

    #[test]
    fn a_successor_is_dispatched_twice() {
        let both = |first: &str, second: &str| {
            vec![
                client("c1").calls(30..40, dispatch(1), rows(&[first])),
                client("c2").calls(30..40, dispatch(1), rows(&[second])),
            ]
        };
        let last = [
            {
                let mut task = done(1, 5, "w1", 21);
                task.name = Some("group".to_owned());
                task
            },
            untouched(7),
            untouched(8),
        ];
        let acquired = || client("w1").calls(10..12, acquire("w1"), rows(&["1 5 111ms 1 0"]));
        let ended = || {
            acquired().calls(
                20..22,
                finalize(1, 5),
                rows(&["finalized completed 21ms -"]),
            )
        };
        let with = |mut clients: Vec<Client>| {
            clients.push(ended());
            clients
        };
        legal(
            with(both("dispatched 7 0", "already_dispatched 7 0")),
            &last,
        );
        illegal("D1", with(both("dispatched 7 0", "dispatched 7 0")), &last);
        illegal(
            "D1",
            with(both("dispatched 7 0", "already_dispatched 8 0")),
            &last,
        );
    }

    #[test]
    fn a_successor_is_dispatched_before_the_group_has_ended() {
        let group = |task: Last| {
            let (name, run) = (Some("group".to_owned()), Some(70));
            Last { name, run, ..task }
        };
        let two = |at| {
            [
                group(done(1, 5, "w1", 21)),
                group(done(2, 6, "w2", at)),
                untouched(7),
            ]
        };
        let clients = |at: i64| {
            let answer = format!("finalized completed {at}ms -");
            vec![
                client("w1")
                    .calls(10..12, acquire("w1"), rows(&["1 5 111ms 1 0"]))
                    .calls(
                        20..22,
                        finalize(1, 5),
                        rows(&["finalized completed 21ms -"]),
                    ),
                client("w2")
                    .calls(10..12, acquire("w2"), rows(&["2 6 111ms 1 0"]))
                    .calls(at - 1..at + 1, finalize(2, 6), rows(&[&answer])),
                client("c1").calls(30..40, dispatch(1), rows(&["dispatched 7 0"])),
            ]
        };
        legal(clients(25), &two(25));
        legal(clients(40), &two(40));
        illegal("D3", clients(45), &two(45));
    }

    #[test]
    fn more_of_a_group_are_leased_than_may_be() {
        let clients = |second: i64| {
            let lease = format!("2 6 {}ms 1 0", second + 100);
            vec![
                client("p").calls(
                    1..2,
                    create_items(1),
                    rows(&["created 70 0 1 ready", "created 70 1 2 blocked"]),
                ),
                client("w1")
                    .calls(10..12, acquire("w1"), rows(&["1 5 111ms 1 0"]))
                    .calls(
                        20..22,
                        finalize(1, 5),
                        rows(&["finalized completed 21ms -"]),
                    ),
                client("w2").calls(second - 1..second + 1, acquire("w2"), rows(&[&lease])),
            ]
        };
        let group = |task: Last| {
            let (name, run) = (Some("group".to_owned()), Some(70));
            Last { name, run, ..task }
        };
        let two = |second: i64| {
            let until = second + 100;
            let columns = format!("running 1 0 6 {until}ms w2 1 f - - - {{}} f - {second}ms");
            let tape = format!("leased 6 {second}ms w2");
            [
                group(done(1, 5, "w1", 21)),
                group(last(2, &columns, &[&tape])),
            ]
        };
        legal(clients(21), &two(21));
        illegal("S1", clients(20), &two(20));
    }

    #[test]
    fn a_lost_lease_gives_its_slot_away() {
        let group = |task: Last| {
            let (name, run) = (Some("group".to_owned()), Some(70));
            Last { name, run, ..task }
        };
        let clients = |max_parallel, second: &str| {
            vec![
                client("p").calls(
                    1..2,
                    create_items(max_parallel),
                    rows(&["created 70 0 1 ready", second]),
                ),
                client("w1").calls(10..12, acquire("w1"), rows(&["1 5 111ms 1 0"])),
                client("reaper").calls(
                    120..122,
                    Verb::Reap {
                        queue: None,
                        max_tasks: 5,
                    },
                    rows(&["1 requeued"]),
                ),
                client("w2").calls(130..132, acquire("w2"), rows(&["2 6 231ms 1 0"])),
            ]
        };
        let first = last(
            1,
            "ready 0 1 - - - 2 f - - - {} f - 11ms",
            &["leased 5 11ms w1", "lease_lost 5 121ms"],
        );
        let columns = "running 1 0 6 231ms w2 1 f - - - {} f - 131ms";
        let second = last(2, columns, &["leased 6 131ms w2"]);
        let both = [group(first), group(second)];
        legal(clients(2, "created 70 1 2 ready"), &both);
        illegal("S1", clients(1, "created 70 1 2 blocked"), &both);
    }

    #[test]
    fn an_end_is_not_told() {
        let clients = || {
            let cancel = Verb::Cancel {
                task: 1,
                force: false,
            };
            vec![client("admin").calls(20..22, cancel, rows(&["cancelled cancelled"]))]
        };
        let cancelled = || {
            let columns = "cancelled 0 0 - - - 1 f - cancelled 21ms {} f - -";
            last(1, columns, &["final - 21ms"])
        };
        let told = |of: &str| Last {
            queue: "ends".to_owned(),
            name: Some("on_final".to_owned()),
            key: Some(of.to_owned()),
            ..untouched(2)
        };
        legal(clients(), &[cancelled(), told("1")]);
        illegal("F1", clients(), &[cancelled()]);
        illegal("F1", clients(), &[cancelled(), told("1"), told("1")]);
        illegal("F1", vec![], &[untouched(1), told("1")]);
    }

    #[test]
    fn two_tasks_are_redriven_as_one() {
        let failed = |task, token: i64| {
            let columns = "failed 1 0 - - - 2 f - - 21ms {} f - 11ms";
            let tape = [
                format!("leased {token} 11ms w"),
                format!("final {token} 21ms"),
            ];
            let queue = "bounded".to_owned();
            let task = last(task, columns, &[&tape[0], &tape[1]]);
            Last { queue, ..task }
        };
        let finalize = |task, token| Verb::Finalize {
            task,
            token,
            state: "failed".to_owned(),
            result: None,
        };
        let acquire = || Verb::Acquire {
            queue: "bounded".to_owned(),
            owner: "w".to_owned(),
            ttl_ms: 100,
            max_tasks: 2,
        };
        let clients = |second: &str| {
            let leases = ["1 5 111ms 1 0", "2 6 111ms 1 0"];
            vec![
                client("w").calls(10..12, acquire(), rows(&leases)).calls(
                    20..22,
                    finalize(1, 5),
                    rows(&["finalized failed 21ms -"]),
                ),
                client("w").calls(20..22, finalize(2, 6), rows(&["finalized failed 21ms -"])),
                client("admin")
                    .calls(30..32, Verb::Redrive { task: 1 }, rows(&["redriven 7"]))
                    .calls(40..42, Verb::Redrive { task: 2 }, rows(&[second])),
            ]
        };
        let all = [failed(1, 5), failed(2, 6), untouched(7), untouched(8)];
        legal(clients("redriven 8"), &all);
        illegal("admin", clients("redriven 7"), &all);
    }

    #[test]
    fn an_answer_has_too_many_rows_or_too_few() {
        let acquired = |answer: &[&str]| {
            let two = ["1 5 111ms 1 0", "2 6 111ms 1 0"];
            assert!(answer.len() <= two.len());
            vec![client("c1").calls(10..12, acquire("w1"), rows(answer))]
        };
        let first = [held(1, 5, "w1"), untouched(2)];
        let both = [held(1, 5, "w1"), held(2, 6, "w1")];
        legal(acquired(&["1 5 111ms 1 0"]), &first);
        illegal("c1#1", acquired(&["1 5 111ms 1 0", "2 6 111ms 1 0"]), &both);
        let beat = |answer: &[&str]| {
            let beat = heartbeat(1, 4);
            vec![client("c1").calls(10..12, beat, rows(answer))]
        };
        legal(beat(&["lease_lost - f"]), &[untouched(1)]);
        illegal("task 1", beat(&[]), &[untouched(1)]);
        let many = |answer: &[&str]| {
            let verb = Verb::HeartbeatMany {
                leases: vec![(1, 4), (2, 4)],
                ttl_ms: 100,
            };
            vec![client("c1").calls(10..12, verb, rows(answer))]
        };
        let last = [untouched(1), untouched(2)];
        legal(many(&["1 lease_lost - f", "2 lease_lost - f"]), &last);
        illegal("task 2", many(&["1 lease_lost - f"]), &last);
        illegal(
            "task 1",
            many(&["2 lease_lost - f", "1 lease_lost - f"]),
            &last,
        );
    }

    #[test]
    fn an_error_is_raised_that_may_not_be() {
        let raised = |isolation: &str, code: &str| {
            vec![
                client("c1")
                    .begins_at(isolation)
                    .then(10..12, heartbeat(1, 4), error(code))
                    .rolls_back(13),
            ]
        };
        let last = [untouched(1)];
        legal(raised("REPEATABLE READ", "40001"), &last);
        legal(raised("READ COMMITTED", "57014"), &last);
        illegal("c1#1", raised("READ COMMITTED", "40001"), &last);
        illegal("c1#1", raised("READ COMMITTED", "23505"), &last);
        illegal("c1#1", raised("READ COMMITTED", "55006"), &last);
    }

    #[test]
    fn a_number_is_given_again_although_it_was_not_lost() {
        let clients = |creator: Client| {
            let verb = Verb::Create {
                queue: "once".to_owned(),
                key: "k".to_owned(),
                delay_ms: 0,
                max_attempts: None,
                slot_keys: Vec::new(),
            };
            vec![
                creator.calls(1..2, verb, rows(&["created 1 ready"])),
                crash(5..6),
                client("w1").calls(10..12, acquire("w1"), rows(&["1 5 111ms 1 0"])),
            ]
        };
        // It is in another queue.
        let another = [held(1, 5, "w1")];
        legal(clients(careless("p")), &another);
        illegal("task 1", clients(client("p")), &another);
    }

    #[test]
    fn a_registration_is_refused_where_it_may_be_made() {
        let raised = || {
            let verb = Verb::Register {
                task: 1,
                token: 5,
                name: "undo".to_owned(),
                queue: "again".to_owned(),
                payload: "{}".to_owned(),
            };
            vec![client("c1").calls(10..12, verb, error("55000"))]
        };
        // What is gone may have been a compensation.
        legal(raised(), &[]);
        illegal("c1#1", raised(), &[untouched(1)]);
    }

    #[test]
    fn something_is_undone_or_registered_where_it_may_not_be() {
        let told = |kind: &str, token: Option<i64>| {
            let clients = vec![
                client("w1")
                    .calls(10..12, acquire("w1"), rows(&["1 5 111ms 1 0"]))
                    .calls(
                        20..22,
                        finalize(1, 5),
                        rows(&["finalized completed 21ms -"]),
                    ),
            ];
            let mut task = done(1, 5, "w1", 21);
            let event = TapeEvent {
                seq: 2,
                kind: kind.to_owned(),
                token,
                ..task.tape[1].clone()
            };
            task.tape[1].seq = 3;
            task.tape.insert(1, event);
            (clients, [task])
        };
        let says = |why: &str, kind: &str, token: Option<i64>| {
            let (clients, last) = told(kind, token);
            let said = verdict(clients, &last);
            said.iter().any(|said| said.contains(why))
        };
        let ends = "a compensation ends where nothing is undone";
        assert!(says(ends, "baton.compensation_finalized", None));
        let registered = "a compensation is registered without its lease";
        assert!(!says(registered, "baton.compensation_registered", Some(5)));
        assert!(says(registered, "baton.compensation_registered", Some(4)));
        let undone = "where its work is undone";
        let after_that = |kind: &str| {
            let (clients, mut last) = told("compensating", None);
            last[0].tape[2].kind = kind.to_owned();
            let said = verdict(clients, &last);
            said.iter().any(|said| said.contains(undone))
        };
        assert!(!after_that("final"));
        for kind in ["leased", "lease_lost", "retry_scheduled", "released"] {
            assert!(after_that(kind), "{kind}");
        }
    }

    #[test]
    fn a_tape_is_out_of_order() {
        let told = |change: fn(&mut Vec<TapeEvent>)| {
            let clients = vec![
                client("w1")
                    .calls(10..12, acquire("w1"), rows(&["1 5 111ms 1 0"]))
                    .calls(
                        20..22,
                        finalize(1, 5),
                        rows(&["finalized completed 21ms -"]),
                    ),
            ];
            let mut task = done(1, 5, "w1", 21);
            change(&mut task.tape);
            (clients, [task])
        };
        let (clients, last) = told(|_| {});
        legal(clients, &last);
        let changes: [fn(&mut Vec<TapeEvent>); 5] = [
            |tape| tape[1].seq = 3,
            |tape| tape.swap(0, 1),
            |tape| tape[1].kind = "progress".to_owned(),
            |tape| {
                let mut second = tape[1].clone();
                second.seq = 3;
                tape.push(second);
            },
            |tape| {
                let mut second = tape[0].clone();
                second.seq = 2;
                tape[1].seq = 3;
                tape.insert(1, second);
            },
        ];
        for change in changes {
            let (clients, last) = told(change);
            illegal("E", clients, &last);
        }
    }

    #[test]
    fn a_lease_comes_from_nowhere() {
        // The answer was lost; what it leased stands on the tape, under its owner's name.
        let asked = |owner: &str| {
            vec![
                client("c1").calls(10..12, acquire(owner), lost()),
                client("c1").calls(20..22, heartbeat(1, 5), rows(&["extended 121ms f"])),
            ]
        };
        let extended = last(
            1,
            "running 1 0 5 121ms w1 1 f - - - {} f - 11ms",
            &["leased 5 11ms w1"],
        );
        legal(asked("w1"), std::slice::from_ref(&extended));
        illegal("task 1", asked("w2"), &[extended]);
    }

    #[test]
    fn a_sweep_that_was_rolled_back_shows() {
        let get = Verb::Get { task: 1 };
        let ready = "ready 0 1 - - - 2 f - - - {} f - 11ms";
        let running = "running 1 0 5 111ms w1 1 f - - - {} f - 11ms";
        // The acquire finds the lease that ran out, settles it, and returns another task.
        let clients = |swept: bool| {
            let tx = client("c2").begins();
            let tx = if swept {
                tx.then(150..152, acquire("w2"), rows(&["2 6 251ms 1 0"]))
            } else {
                tx
            };
            vec![
                client("w1").calls(10..12, acquire("w1"), rows(&["1 5 111ms 1 0"])),
                tx.then(153..154, get.clone(), rows(&[ready]))
                    .rolls_back(160),
                client("c3").calls(170..172, get.clone(), rows(&[running])),
            ]
        };
        let last = [held(1, 5, "w1"), untouched(2)];
        legal(clients(true), &last);
        illegal("task 1", clients(false), &last);
    }

    #[test]
    fn a_transaction_is_seen_before_its_commit() {
        let get = Verb::Get { task: 1 };
        let running = "running 1 0 5 111ms w1 1 f - - - {} f - 11ms";
        let completed = "completed 1 0 - - - 2 f - - 21ms {} f - 11ms";
        let clients = |shown: &str| {
            vec![
                client("w1")
                    .calls(10..12, acquire("w1"), rows(&["1 5 111ms 1 0"]))
                    .begins()
                    .then(
                        20..22,
                        finalize(1, 5),
                        rows(&["finalized completed 21ms -"]),
                    )
                    .commits(50..52, Some(true)),
                client("c2").calls(30..32, get.clone(), rows(&[shown])),
            ]
        };
        let last = [done(1, 5, "w1", 21)];
        legal(clients(running), &last);
        illegal("task 1", clients(completed), &last);
    }

    /// Somebody else saw it; its creator was never answered.
    #[test]
    fn a_task_that_was_seen_is_gone() {
        let created = || Verb::Create {
            queue: "again".to_owned(),
            key: "k".to_owned(),
            delay_ms: 0,
            max_attempts: None,
            slot_keys: Vec::new(),
        };
        let clients = |creator: Client, crashed: bool| {
            let seen = rows(&["not_terminal -"]);
            let mut clients = vec![
                creator.calls(20..22, created(), lost()),
                client("c2").calls(30..32, Verb::Redrive { task: 4 }, seen),
            ];
            if crashed {
                clients.push(crash(40..50));
            }
            clients
        };
        legal(clients(careless("c1"), true), &[]);
        illegal("task 4", clients(careless("c1"), false), &[]);
        illegal("task 4", clients(client("c1"), true), &[]);
    }

    #[test]
    fn what_was_on_disk_is_lost() {
        // Nothing is left of the annotation.
        let clients = |flushed_at: Option<i64>| {
            let mut clients = vec![
                careless("c1").calls(20..22, annotate(1), rows(&["annotated"])),
                crash(40..50),
            ];
            if let Some(at) = flushed_at {
                let answer = format!("2 5 {}ms 1 0", at + 101);
                clients.push(client("w1").calls(at..at + 2, acquire("w1"), rows(&[&answer])));
            }
            clients
        };
        let leased_at = |at: i64| {
            let columns = format!("running 1 0 5 {}ms w1 1 f - - - {{}} f - {at}ms", at + 100);
            last(2, &columns, &[&format!("leased 5 {at}ms w1")])
        };
        legal(clients(None), &[untouched(1), untouched(2)]);
        legal(clients(Some(19)), &[untouched(1), leased_at(20)]);
        legal(clients(Some(60)), &[untouched(1), leased_at(61)]);
        illegal("task 1", clients(Some(30)), &[untouched(1), leased_at(31)]);
    }

    #[test]
    fn a_part_of_a_transaction_that_waited_for_its_flush_is_lost() {
        let clients = |verb: Verb, answer: &str| {
            vec![
                client("w1").calls(10..12, acquire("w1"), rows(&["2 5 111ms 1 0"])),
                careless("c1")
                    .begins()
                    .then(20..22, annotate(1), rows(&["annotated"]))
                    .then(23..25, verb, rows(&[answer]))
                    .commits(26..28, Some(true)),
                crash(40..50),
            ]
        };
        let extended = || clients(heartbeat(2, 5), "extended 123ms f");
        legal(extended(), &[untouched(1), held(2, 5, "w1")]);
        let finalized = || clients(finalize(2, 5), "finalized completed 24ms -");
        illegal("task 1", finalized(), &[untouched(1), done(2, 5, "w1", 24)]);
    }
}
