//! The sequential specification of one task: what each call may answer, and what it makes of the task, if
//! calls came one at a time. The decisions are the extension's own (`src/model`); written anew is what its SQL
//! does with them: counters, sequence numbers, times.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::backoff;
use crate::model::ending::{self, Ending, OnLost};
use crate::model::outcome::{self, Found, Refusal};
use crate::model::saga;
use crate::model::state::State;
use crate::model::transition::{self, Event};

/// µs since 1970, as the server's clock and the clients' show it: they are on one machine.
pub type Time = i64;

/// The settings of a queue.
#[derive(Clone, Debug)]
pub struct Queue {
    pub name: String,
    pub lease_ttl: i64,
    pub max_attempts: i32,
    pub max_lost_leases: i32,
    pub backoff_base: i64,
    pub backoff_max: i64,
    pub max_runtime: Option<i64>,
    pub on_lost: OnLost,
    /// The queue in which such ends are told.
    pub on_final: Option<(&'static str, &'static [State])>,
}

/// When a call ran, by the clock of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Time,
    pub to: Time,
}

impl Window {
    pub const ANY: Window = Window {
        from: 0,
        to: Time::MAX,
    };
}

/// A time that is known to lie between two others, both included; mostly they are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub from: Time,
    pub to: Time,
}

impl Span {
    pub fn at(time: Time) -> Span {
        Span {
            from: time,
            to: time,
        }
    }

    /// Where both are true; `None`: nowhere.
    fn and(self, from: Time, to: Time) -> Option<Span> {
        let both = Span {
            from: self.from.max(from),
            to: self.to.min(to),
        };
        (both.from <= both.to).then_some(both)
    }
}

/// A task of a run with a definition: it may be blocked at any time, because the run is paused, and ended, or asked to stop, once
/// the run is called off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// When the run was cancelled, or failed.
    pub called_off: Time,
    /// When it was cancelled.
    pub cancelled: Time,
}

impl Flow {
    /// Of a run of which nothing is known.
    pub const ANY: Flow = Flow {
        called_off: 0,
        cancelled: 0,
    };
}

/// What a call is about, for one task.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// `bounded`: it needs slots, of a group with `max_parallel` or of keys with a name. `undoes`: it is a compensation. `delay`: how long after
    /// the call's beginning `run_at` was.
    Create {
        queue: usize,
        max_attempts: Option<i32>,
        delay: i64,
        bounded: bool,
        in_run: bool,
        undoes: bool,
        flow: Option<Flow>,
    },
    /// A row of `task_acquire_lease`.
    Lease {
        queue: usize,
        owner: String,
        ttl: i64,
    },
    LeaseById {
        owner: String,
        ttl: i64,
    },
    Start {
        token: i64,
    },
    Heartbeat {
        token: i64,
        ttl: i64,
    },
    Append {
        token: Option<i64>,
        dedup_key: Option<String>,
    },
    Finalize {
        token: i64,
        state: State,
        result: Option<String>,
    },
    FailAttempt {
        token: i64,
        error: Option<String>,
        retry_after: Option<i64>,
    },
    Release {
        token: i64,
        delay: i64,
        unless_started: bool,
    },
    RequireLease {
        token: i64,
    },
    /// At the commit of a transaction in which `task_require_lease` passed, the lease is still the task's.
    StillHeld {
        token: i64,
    },
    /// Name and payload.
    Register {
        token: i64,
        what: (String, String),
    },
    Cancel {
        force: bool,
    },
    /// A row of `task_reap`, of this queue or of any.
    Reaped {
        queue: Option<usize>,
    },
    /// A row of `task_reap_owner`; if that call's answer is unknown, what may have been one.
    ReapedOwner {
        owner: String,
        up_to_token: i64,
    },
    Annotate {
        token: Option<i64>,
        key: String,
    },
    Redrive,
    Get,
    /// `task_events(task_id, after)`.
    Tail {
        after: i64,
    },
    /// The server went down: what was not flushed may be gone.
    Crash,
}

/// What was answered. Fields that an answer does not have are `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    pub outcome: String,
    pub state: Option<State>,
    pub token: Option<i64>,
    pub expires: Option<Time>,
    pub attempt: Option<i32>,
    pub lost_leases: Option<i32>,
    pub owner: Option<String>,
    pub run_at: Option<Time>,
    pub seq: Option<i64>,
    /// `compensation_no`
    pub number: Option<i64>,
    pub at: Option<Time>,
    pub cancel_requested: Option<bool>,
    pub result: Option<String>,
    pub reason: Option<String>,
    pub keys: Option<BTreeSet<String>>,
    pub task: Option<i64>,
    pub started: Option<bool>,
    pub leased_at: Option<Time>,
    /// The events that were read: kinds and tokens.
    pub tape: Option<Vec<(String, Option<i64>)>>,
}

impl Reply {
    /// Whether an answer with this outcome has all the columns that it must have, and no other.
    fn has_its_columns(&self, act: &Act) -> bool {
        let word = self.outcome.as_str();
        let columns: &[&str] = match act {
            // What was looked up has what the tape tells.
            Act::Lease { .. } | Act::LeaseById { .. } if self.at.is_some() => return true,
            // Not all functions that create show the state.
            Act::Create { .. } | Act::Get | Act::Tail { .. } => return true,
            Act::StillHeld { .. } | Act::Crash => return true,
            Act::Lease { .. } => &["token", "expires", "attempt", "lost_leases"],
            Act::LeaseById { .. } => match word {
                "acquired" => &["state", "token", "expires", "attempt", "owner"],
                "held" => &["state", "expires", "owner"],
                "not_found" => &[],
                _ => &["state"],
            },
            Act::Start { .. } => match word {
                "started" | "already_started" => &["expires"],
                _ => &[],
            },
            Act::Heartbeat { .. } => match word {
                "extended" | "not_extended" => &["expires", "cancel_requested"],
                _ => &["cancel_requested"],
            },
            Act::Append { .. } => match word {
                "appended" | "exists" => &["seq", "at", "cancel_requested"],
                "dropped_after_final" => &["seq", "cancel_requested"],
                _ => &["cancel_requested"],
            },
            Act::Finalize { .. } => match word {
                "not_found" => &[],
                "lease_lost" => &["state"],
                // It has not ended yet.
                _ if self.state == Some(State::Compensating) => &["state"],
                _ => &["state", "at"],
            },
            Act::FailAttempt { .. } => match word {
                "not_found" => &[],
                "retry_scheduled" => &["state", "run_at"],
                _ => &["state"],
            },
            Act::Release { .. } if word == "released" => &["run_at"],
            Act::Cancel { .. } if word != "not_found" => &["state"],
            Act::Redrive if word == "redriven" || word == "already_redriven" => &["task"],
            Act::Register { .. } if word == "registered" || word == "exists" => &["number"],
            Act::RequireLease { .. }
            | Act::Release { .. }
            | Act::Cancel { .. }
            | Act::Reaped { .. }
            | Act::ReapedOwner { .. }
            | Act::Annotate { .. }
            | Act::Register { .. }
            | Act::Redrive => &[],
        };
        let given = [
            ("state", self.state.is_some()),
            ("token", self.token.is_some()),
            ("expires", self.expires.is_some()),
            ("attempt", self.attempt.is_some()),
            ("lost_leases", self.lost_leases.is_some()),
            ("owner", self.owner.is_some()),
            ("run_at", self.run_at.is_some()),
            ("seq", self.seq.is_some()),
            ("number", self.number.is_some()),
            ("at", self.at.is_some()),
            ("cancel_requested", self.cancel_requested.is_some()),
            ("task", self.task.is_some()),
        ];
        given
            .iter()
            .all(|(column, given)| *given == columns.contains(column))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    token: i64,
    owner: String,
    leased_at: Time,
    expires: Span,
    started: bool,
}

/// What a lease was answered when its holder gave it back: a replay gets the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct GivenBack {
    event: &'static str,
    run_at: Span,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct End {
    /// The lease whose holder ended it.
    by: Option<i64>,
    at: Span,
    result: Option<String>,
    error: Option<String>,
    reason: Option<String>,
}

impl End {
    fn says_the_same(&self, other: &End) -> bool {
        (&self.result, &self.error, &self.reason) == (&other.result, &other.error, &other.reason)
    }

    /// Ended by nobody's report.
    fn because(reason: &str, at: Span) -> End {
        End {
            by: None,
            at,
            result: None,
            error: None,
            reason: Some(reason.to_owned()),
        }
    }
}

/// How a task ended first, whose work is undone before it ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct First {
    state: State,
    end: End,
    /// How many of its compensations have ended since.
    undone: usize,
}

/// One task between two calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// `None`: there is no such task.
    pub state: Option<State>,
    /// Which of the queues it is in.
    queue: usize,
    max_attempts: i32,
    bounded: bool,
    in_run: bool,
    /// It undoes the work of another.
    undoes: bool,
    flow: Option<Flow>,
    lease: Option<Lease>,
    attempt: i32,
    lost_leases: i32,
    cancel_requested: bool,
    /// That was its run.
    asked_by_run: bool,
    /// Kinds and tokens.
    tape: Vec<(&'static str, Option<i64>)>,
    /// The latest time that is known to have been read under this task's lock: it never runs back.
    clock: Time,
    /// The last token granted.
    token: i64,
    given_back: BTreeMap<i64, GivenBack>,
    run_at: Option<Span>,
    end: Option<End>,
    /// The compensations that its workers have registered.
    registered: Vec<(String, String)>,
    first: Option<First>,
    redriven: Option<Option<i64>>,
    /// The seq, and when it was appended.
    dedup_keys: BTreeMap<String, (i64, Span)>,
    annotated: BTreeSet<String>,
}

impl Task {
    /// No task yet.
    pub fn nothing() -> Task {
        Task {
            state: None,
            queue: 0,
            max_attempts: 0,
            bounded: false,
            in_run: false,
            undoes: false,
            flow: None,
            lease: None,
            attempt: 0,
            lost_leases: 0,
            cancel_requested: false,
            asked_by_run: false,
            tape: Vec::new(),
            clock: 0,
            token: 0,
            given_back: BTreeMap::new(),
            run_at: None,
            end: None,
            registered: Vec::new(),
            first: None,
            redriven: None,
            dedup_keys: BTreeMap::new(),
            annotated: BTreeSet::new(),
        }
    }

    /// What the extension's rules look at.
    fn found(&self, expired: bool) -> Option<Found> {
        let state = self.state?;
        Some(Found {
            state,
            lease_token: match &self.lease {
                Some(lease) => Some(lease.token),
                None if state.is_terminal() => self.end.as_ref().and_then(|end| end.by),
                None => None,
            },
            ended_by_lease: self.end.as_ref().is_some_and(|end| end.by.is_some()),
            expired,
            started: self.lease.as_ref().is_some_and(|lease| lease.started),
        })
    }

    /// The task as it is if the server reads this time under its lock; `None`: it cannot be.
    fn at(&self, time: Time, window: Window) -> Option<Task> {
        let fits = time >= self.clock && window.from <= time && time <= window.to;
        fits.then(|| Task {
            clock: time,
            ..self.clone()
        })
    }

    /// What is answered to a token that is not the current one, whatever the time is.
    fn stale(&self, token: i64) -> Option<&'static str> {
        outcome::needs_current(self.found(false).as_ref(), token).map(Refusal::word)
    }

    /// What is known of the time at which a call of this window reads the clock.
    fn now(&self, window: Window) -> Span {
        Span {
            from: window.from.max(self.clock),
            to: window.to,
        }
    }

    /// With a lease that is live, and with one that has expired, as far as either is possible.
    fn live_or_not(&self, window: Window) -> Vec<(bool, Task)> {
        let Some(lease) = &self.lease else {
            return vec![(false, self.clone())];
        };
        let now = self.now(window);
        let mut both = Vec::new();
        let mut with = |expired: bool, expires: Option<Span>, clock: Time| {
            if let Some(expires) = expires {
                let lease = Lease {
                    expires,
                    ..lease.clone()
                };
                let clock = self.clock.max(clock);
                both.push((
                    expired,
                    Task {
                        lease: Some(lease),
                        clock,
                        ..self.clone()
                    },
                ));
            }
        };
        with(
            false,
            lease.expires.and(now.from.saturating_add(1), Time::MAX),
            self.clock,
        );
        with(
            true,
            lease.expires.and(Time::MIN, now.to),
            lease.expires.from,
        );
        both
    }

    /// What others may do at any time up to `until` without this history telling: a sweep settles a lease that
    /// ran out, a scheduled task comes due, a waiter gets a slot, a compensation ends, a run is paused, resumed or called off.
    pub fn unseen(&self, queue: &Queue, until: Time) -> Vec<Task> {
        let mut seen = vec![self.clone()];
        let mut next = 0;
        while next < seen.len() {
            let task = seen[next].clone();
            next += 1;
            let mut more = Vec::new();
            match task.state {
                Some(State::Running) => {
                    let window = Window {
                        from: task.clock,
                        to: until,
                    };
                    for (expired, task) in task.live_or_not(window) {
                        if expired {
                            more.extend(task.lost(queue, true, ending::lost, until));
                        }
                    }
                }
                Some(State::Scheduled) if task.run_at.is_none_or(|at| at.from <= until) => {
                    let clock = task.clock.max(task.run_at.map_or(0, |at| at.from));
                    let due = Task {
                        clock,
                        ..task.clone()
                    };
                    more.extend(due.moved(Event::Due));
                    if task.may_wait() {
                        more.extend(due.moved(Event::Block));
                    }
                }
                Some(State::Blocked) => more.extend(task.moved(Event::Unblock)),
                Some(State::Ready) if task.flow.is_some() => {
                    more.extend(task.moved(Event::Block));
                }
                Some(State::Compensating) => more.extend(task.one_more_undone(until)),
                _ => {}
            }
            more.extend(task.called_off(until));
            for task in more {
                if !seen.contains(&task) {
                    seen.push(task);
                }
            }
        }
        seen
    }

    /// Whether it is blocked at times, for a slot or because its run is paused.
    fn may_wait(&self) -> bool {
        self.bounded || self.flow.is_some()
    }

    /// What its run may do with it up to `until`, when it is called off.
    fn called_off(&self, until: Time) -> Vec<Task> {
        let mut after = Vec::new();
        let (Some(flow), Some(state)) = (self.flow, self.state) else {
            return after;
        };
        let running = state == State::Running;
        let since = if running {
            flow.cancelled
        } else {
            flow.called_off
        };
        if state.is_terminal() || state == State::Compensating || since > until {
            return after;
        }
        let at = Span {
            from: self.clock.max(since),
            to: until,
        };
        after.extend(self.ended(State::Cancelled, End::because("run_cancelled", at)));
        if running && !self.cancel_requested {
            let mut asked = self.clone();
            asked.tape.push(("cancel_requested", None));
            (asked.cancel_requested, asked.asked_by_run) = (true, true);
            after.push(asked);
        }
        after
    }

    /// Why it ends cancelled, if it does because that was asked for.
    fn asked_because(&self) -> &'static str {
        if self.asked_by_run {
            "run_cancelled"
        } else {
            "cancelled"
        }
    }

    fn moved(&self, event: Event) -> Option<Task> {
        let state = transition::next(self.state?, event).ok()?;
        Some(Task {
            state: Some(state),
            ..self.clone()
        })
    }

    /// What may become of a running task whose lease is lost, as the rule says that is asked.
    fn lost(
        &self,
        queue: &Queue,
        expired: bool,
        rule: fn(&ending::Lease) -> Ending<'static>,
        until: Time,
    ) -> Vec<Task> {
        let Some(lease) = &self.lease else {
            return Vec::new();
        };
        // Whether it has reached the queue's max_runtime is not always known.
        let latest = match queue.max_runtime {
            Some(max) => lease.leased_at.saturating_add(max),
            None => Time::MAX,
        };
        let ways = [
            (false, lease.expires.and(Time::MIN, latest - 1)),
            (true, lease.expires.and(latest, Time::MAX)),
        ];
        let mut after = Vec::new();
        for (timed_out, expires) in ways {
            let Some(expires) = expires else { continue };
            let ending = rule(&ending::Lease {
                attempt: self.attempt,
                max_attempts: self.max_attempts,
                lost_leases: self.lost_leases,
                max_lost_leases: queue.max_lost_leases,
                started: lease.started,
                cancel_requested: self.cancel_requested,
                timed_out: timed_out && expired,
                on_lost: queue.on_lost,
            });
            let task = Task {
                lease: Some(Lease {
                    expires,
                    ..lease.clone()
                }),
                ..self.clone()
            };
            after.extend(task.settled(queue, ending, until));
        }
        after
    }

    /// What becomes of a running task whose lease ends like this, at any time up to `until`.
    fn settled(&self, queue: &Queue, ending: Ending, until: Time) -> Vec<Task> {
        let Some(token) = self.lease.as_ref().map(|lease| lease.token) else {
            return Vec::new();
        };
        match ending {
            Ending::Requeue { counted } => {
                let mut after = self.requeued();
                for task in &mut after {
                    task.tape.push(("lease_lost", Some(token)));
                    task.attempt -= 1;
                    task.lost_leases += i32::from(counted);
                    task.run_at = None;
                }
                after
            }
            Ending::Retry => {
                let Some(mut task) = self.without_lease(Event::Postpone) else {
                    return Vec::new();
                };
                task.tape.push(("retry_scheduled", None));
                let delay = self.retry_delay(queue);
                task.run_at = Some(Span {
                    from: task.clock.saturating_add(delay.from),
                    to: until.saturating_add(delay.to),
                });
                vec![task]
            }
            Ending::End {
                state,
                reason,
                lost,
            } => {
                let mut task = self.clone();
                if lost {
                    task.tape.push(("lease_lost", Some(token)));
                    task.attempt -= 1;
                    task.lost_leases += 1;
                }
                let at = Span {
                    from: self.clock,
                    to: until,
                };
                let reason = if state == State::Cancelled {
                    self.asked_because()
                } else {
                    reason
                };
                let ended = task.ended(state, End::because(reason, at));
                ended.into_iter().collect()
            }
        }
    }

    /// In line again, or blocked, because its run is paused.
    fn requeued(&self) -> Vec<Task> {
        let blocked = self.flow.and_then(|_| self.without_lease(Event::Block));
        let ready = self.without_lease(Event::Requeue);
        ready.into_iter().chain(blocked).collect()
    }

    /// How long the queue waits after the attempt that has just failed.
    fn retry_delay(&self, queue: &Queue) -> Span {
        let delay =
            |jitter| backoff::delay(queue.backoff_base, queue.backoff_max, self.attempt, jitter);
        Span {
            from: delay(0.0),
            to: delay(1.0),
        }
    }

    fn without_lease(&self, event: Event) -> Option<Task> {
        let mut task = self.moved(event)?;
        task.lease = None;
        Some(task)
    }

    /// It ends; or what it did is undone first.
    fn ended(&self, state: State, end: End) -> Option<Task> {
        if end.at.from > end.at.to {
            return None;
        }
        let ending = transition::ending_in(state)?;
        if !self.registered.is_empty() && saga::is_undone(state, end.by.is_some()) {
            transition::next(self.state?, ending).ok()?;
            let mut task = self.without_lease(Event::Compensate)?;
            task.tape.push(("compensating", end.by));
            task.clock = task.clock.max(end.at.from);
            let undone = 0;
            task.first = Some(First { state, end, undone });
            return Some(task);
        }
        let mut task = self.without_lease(ending)?;
        task.tape.push(("final", end.by));
        task.end = Some(end);
        Some(task)
    }

    /// Whether its work is being undone, or was, and was not before.
    pub fn is_undone_since(&self, before: &Task) -> bool {
        self.first.is_some() && before.first.is_none()
    }

    /// One of its compensations ends: completed, or it gives up. With the last one, the task ends.
    fn one_more_undone(&self, until: Time) -> Vec<Task> {
        let Some(first) = &self.first else {
            return Vec::new();
        };
        let mut task = self.clone();
        task.tape.push(("baton.compensation_finalized", None));
        let undone = first.undone + 1;
        task.first = Some(First {
            undone,
            ..first.clone()
        });
        let at = Span {
            from: self.clock,
            to: until,
        };
        let end = |event: Event, reason: &str| {
            let mut task = task.moved(event)?;
            task.tape.push(("final", None));
            task.end = Some(End {
                result: first.end.result.clone(),
                error: first.end.error.clone(),
                ..End::because(reason, at)
            });
            Some(task)
        };
        let gave_up = end(Event::Quarantine, "compensation_failed");
        let completed = if undone < self.registered.len() {
            Some(task.clone())
        } else {
            let reason = first.end.reason.as_deref().unwrap_or("compensated");
            end(Event::Compensated, reason)
        };
        completed.into_iter().chain(gave_up).collect()
    }

    /// How the holder of this lease ended the task first, if he did, and its work is undone, or was.
    fn first_by(&self, token: i64) -> Option<&First> {
        self.first
            .as_ref()
            .filter(|first| first.end.by == Some(token))
    }

    /// The answer to a replay of a call that had the work undone, or to another call of the same lease's holder.
    fn undone_so(same: bool) -> &'static str {
        if same {
            "compensation_started"
        } else {
            "already_finalized_differently"
        }
    }

    /// Leased, from `ready`.
    fn leased(
        &self,
        queue: &Queue,
        owner: &str,
        ttl: i64,
        reply: Option<&Reply>,
        window: Window,
    ) -> Option<Task> {
        let mut task = self.moved(Event::Acquire)?;
        let length = queue.max_runtime.map_or(ttl, |max| max.min(ttl));
        // What came of a call without an answer is looked up on the tapes, or it left no trace.
        let says = reply?;
        let leased_at = match says.at {
            Some(at) => at,
            None => says.expires? - length,
        };
        task = task.at(leased_at, window)?;
        let token = says.token?;
        if token <= task.token {
            return None;
        }
        task.token = token;
        task.attempt += 1;
        task.tape.push(("leased", Some(token)));
        task.lease = Some(Lease {
            token,
            owner: owner.to_owned(),
            leased_at,
            expires: Span::at(leased_at + length),
            started: false,
        });
        let counts = says.attempt.is_none_or(|n| n == task.attempt)
            && says.lost_leases.is_none_or(|n| n == task.lost_leases);
        counts.then_some(task)
    }

    /// The task after a call, once for each way in which it may have come to that answer. Empty: it cannot
    /// have been answered. Without an answer: every way in which the call may have had an effect.
    pub fn after(
        &self,
        queues: &[Queue],
        act: &Act,
        reply: Option<&Reply>,
        window: Window,
    ) -> Vec<Task> {
        if reply.is_some_and(|reply| !reply.has_its_columns(act)) {
            return Vec::new();
        }
        let queue = match act {
            Act::Create { queue, .. } if self.state.is_none() => &queues[*queue],
            _ => &queues[self.queue],
        };
        let mut after = Vec::new();
        for task in self.unseen(queue, window.to) {
            after.extend(task.directly_after(queue, act, reply, window));
        }
        after
    }

    fn directly_after(
        &self,
        queue: &Queue,
        act: &Act,
        reply: Option<&Reply>,
        window: Window,
    ) -> Vec<Task> {
        let says = |word: &str| reply.is_none_or(|reply| reply.outcome == word);
        let state_is = |state: Option<State>| reply.is_none_or(|reply| reply.state == state);
        let unchanged = |holds: bool| {
            if holds {
                vec![self.clone()]
            } else {
                Vec::new()
            }
        };
        let Some(state) = self.state else {
            return match act {
                Act::Create {
                    queue: in_queue,
                    max_attempts,
                    delay,
                    bounded,
                    in_run,
                    undoes,
                    flow,
                } if says("created") => {
                    let task = Task {
                        queue: *in_queue,
                        max_attempts: max_attempts.unwrap_or(queue.max_attempts),
                        bounded: *bounded,
                        in_run: *in_run,
                        undoes: *undoes,
                        flow: *flow,
                        ..self.clone()
                    };
                    // (the last two only without a delay, or if its time may have come meanwhile)
                    let states = [State::Scheduled, State::Ready, State::Blocked];
                    let due = window.from.saturating_add(*delay) <= window.to;
                    let may_be = |state: &&State| match state {
                        State::Scheduled => *delay > 0,
                        State::Ready => *delay == 0 || due,
                        _ => task.may_wait() && (*delay == 0 || due),
                    };
                    let run_at = Span {
                        from: window.from.saturating_add(*delay),
                        to: window.to.saturating_add(*delay),
                    };
                    let with = |state: &State| Task {
                        state: Some(*state),
                        run_at: (*state == State::Scheduled).then_some(run_at),
                        ..task.clone()
                    };
                    let fits =
                        |state: &&State| reply.is_none_or(|r| r.state.is_none_or(|s| s == **state));
                    let states = states.iter().filter(may_be).filter(fits);
                    states.map(with).collect()
                }
                Act::Get => unchanged(says("none")),
                Act::Tail { after } => {
                    let nothing = |r: &Reply| r.seq == Some(*after) && r.tape == Some(Vec::new());
                    unchanged(says("events") && reply.is_none_or(nothing))
                }
                Act::RequireLease { .. } => unchanged(says("refused")),
                Act::Crash => unchanged(true),
                _ => unchanged(
                    says("not_found") && reply.is_none_or(|r| r.cancel_requested != Some(true)),
                ),
            };
        };
        let told_of_cancel = reply.is_none_or(|r| {
            r.cancel_requested
                .is_none_or(|told| told == self.cancel_requested)
        });
        match act {
            Act::Create { queue, .. } => {
                let state = reply.is_none_or(|r| r.state.is_none_or(|s| s == state));
                unchanged(says("exists") && state && *queue == self.queue)
            }
            Act::Crash => unchanged(true),
            Act::Lease {
                queue: from,
                owner,
                ttl,
            } => self
                .leased(queue, owner, *ttl, reply, window)
                .filter(|_| *from == self.queue && says("leased"))
                .into_iter()
                .collect(),
            Act::LeaseById { owner, ttl } => {
                self.lease_by_id(queue, state, owner, *ttl, reply, window)
            }
            // Who holds a stale token waits for nobody, and its answer tells nothing of the lease's time.
            Act::Start { token } | Act::Heartbeat { token, .. } | Act::RequireLease { token }
                if let Some(word) = self.stale(*token) =>
            {
                let word = if matches!(act, Act::RequireLease { .. }) {
                    "refused"
                } else {
                    word
                };
                unchanged(says(word) && told_of_cancel)
            }
            Act::Start { token } => {
                let mut after = Vec::new();
                for (expired, task) in self.live_or_not(window) {
                    match outcome::may_start(task.found(expired).as_ref(), *token) {
                        Some(Refusal::AlreadyStarted) => {
                            if says("already_started")
                                && let Some(task) = task.with_expiry(reply.and_then(|r| r.expires))
                            {
                                after.push(task);
                            }
                        }
                        Some(refusal) if says(refusal.word()) => after.push(task),
                        None if says("started") => {
                            after.extend(task.started(queue, reply, window));
                        }
                        _ => {}
                    }
                }
                after
            }
            Act::Heartbeat { .. } | Act::Append { .. } if !told_of_cancel => Vec::new(),
            Act::Heartbeat { token, ttl } => {
                let mut after = Vec::new();
                for (expired, task) in self.live_or_not(window) {
                    let refusal = outcome::needs_live(task.found(expired).as_ref(), *token);
                    match refusal {
                        Some(refusal) if says(refusal.word()) => after.push(task),
                        None => {
                            if says("extended") {
                                after.extend(task.extended(queue, *ttl, reply, window));
                            }
                            if says("not_extended") {
                                after.extend(task.not_extended(queue, *ttl, reply, window));
                            }
                        }
                        _ => {}
                    }
                }
                after
            }
            Act::Append { token, dedup_key } => {
                let known = dedup_key.as_ref().and_then(|key| self.dedup_keys.get(key));
                if let Some((seq, at)) = known.copied() {
                    let mut task = self.clone();
                    if let (Some(key), Some(reply)) = (dedup_key, reply) {
                        let Some(at) = reply.at.and_then(|told| at.and(told, told)) else {
                            return Vec::new();
                        };
                        task.dedup_keys.insert(key.clone(), (seq, at));
                    }
                    let same = says("exists") && reply.is_none_or(|r| r.seq == Some(seq));
                    return if same { vec![task] } else { Vec::new() };
                }
                if state.is_terminal() {
                    let seq = reply.is_none_or(|r| r.seq == Some(self.seq()));
                    return unchanged(says("dropped_after_final") && seq);
                }
                let current = |token: &i64| self.lease.as_ref().is_some_and(|l| l.token == *token);
                if !token.as_ref().is_none_or(current) {
                    return unchanged(says("lease_lost"));
                }
                let mut task = self.clone();
                task.tape.push(("progress", *token));
                let seq = task.seq();
                if !says("appended") || reply.is_some_and(|r| r.seq != Some(seq)) {
                    return Vec::new();
                }
                let now = self.now(window);
                let at = match reply.and_then(|r| r.at) {
                    Some(at) => now.and(at, at),
                    None => now.and(Time::MIN, Time::MAX),
                };
                let Some(at) = at else { return Vec::new() };
                task.clock = at.from;
                if let Some(key) = dedup_key {
                    task.dedup_keys.insert(key.clone(), (seq, at));
                }
                vec![task]
            }
            Act::Finalize {
                token,
                state: to,
                result,
            } => {
                let reason = (*to == State::Cancelled).then(|| "cancelled".to_owned());
                let report = End {
                    by: Some(*token),
                    at: self.now(window),
                    result: result.clone(),
                    error: None,
                    reason,
                };
                self.finalize(*token, *to, report, reply)
            }
            Act::FailAttempt {
                token,
                error,
                retry_after,
            } => self.fail_attempt(queue, *token, error, *retry_after, reply, window),
            Act::Release {
                token,
                delay,
                unless_started,
            } => self.release(*token, *delay, *unless_started, reply, window),
            Act::RequireLease { token } => {
                let mut after = Vec::new();
                for (expired, task) in self.live_or_not(window) {
                    let refusal = outcome::needs_live(task.found(expired).as_ref(), *token);
                    if says(if refusal.is_some() { "refused" } else { "held" }) {
                        // It does not wait for a heartbeat that is still to be committed.
                        after.push(Task {
                            clock: self.clock,
                            ..task
                        });
                    }
                }
                after
            }
            Act::StillHeld { token } => unchanged(
                self.lease
                    .as_ref()
                    .is_some_and(|lease| lease.token == *token),
            ),
            Act::Register { token, what } => {
                if let Some(word) = self.stale(*token) {
                    return unchanged(says(word));
                }
                // A compensation may register none: that is an error, and no answer.
                if self.undoes {
                    return Vec::new();
                }
                let told = |number: usize| reply.is_none_or(|r| r.number == Some(number as i64));
                if let Some(i) = self.registered.iter().position(|known| known == what) {
                    return unchanged(says("exists") && told(i + 1));
                }
                let mut task = self.clone();
                task.registered.push(what.clone());
                task.tape
                    .push(("baton.compensation_registered", Some(*token)));
                if says("registered") && told(task.registered.len()) {
                    vec![task]
                } else {
                    Vec::new()
                }
            }
            Act::Cancel { force } => {
                if state.is_terminal() {
                    return unchanged(says("terminal") && state_is(Some(state)));
                }
                // Nor is what undoes something called off.
                if state == State::Compensating || self.undoes {
                    return unchanged(says("compensating") && state_is(Some(state)));
                }
                if state == State::Running && !force {
                    let mut task = self.clone();
                    if !self.cancel_requested {
                        task.tape.push(("cancel_requested", None));
                    }
                    task.cancel_requested = true;
                    return if says("cancel_requested") && state_is(Some(state)) {
                        vec![task]
                    } else {
                        Vec::new()
                    };
                }
                let reason = if state == State::Running {
                    "forced"
                } else {
                    "cancelled"
                };
                let ended = self.ended(State::Cancelled, End::because(reason, self.now(window)));
                let told = |task: &Task| says(task.ended_word("cancelled")) && state_is(task.state);
                ended.filter(told).into_iter().collect()
            }
            Act::Reaped { queue: from } => {
                if from.is_some_and(|from| from != self.queue) {
                    return Vec::new();
                }
                let mut after = Vec::new();
                for (expired, task) in self.live_or_not(window) {
                    if expired && state == State::Running {
                        after.extend(task.lost(queue, true, ending::lost, window.to));
                    }
                }
                after.retain(|task| says(task.reaped_word()));
                after
            }
            Act::ReapedOwner { owner, up_to_token } => {
                let theirs = |lease: &Lease| lease.owner == *owner && lease.token <= *up_to_token;
                let mut after = Vec::new();
                if self.lease.as_ref().is_some_and(theirs) {
                    for (expired, task) in self.live_or_not(window) {
                        after.extend(task.lost(queue, expired, ending::lost, window.to));
                    }
                }
                after.retain(|task| says(task.reaped_word()));
                after
            }
            Act::Annotate { token, key } => {
                let current = |token: &i64| self.lease.as_ref().is_some_and(|l| l.token == *token);
                if !token.as_ref().is_none_or(current) {
                    return unchanged(says("lease_lost"));
                }
                let mut task = self.clone();
                task.annotated.insert(key.clone());
                if says("annotated") {
                    vec![task]
                } else {
                    Vec::new()
                }
            }
            Act::Redrive => {
                if !state.is_terminal() {
                    return unchanged(says("not_terminal"));
                }
                if state == State::Completed {
                    return unchanged(says("completed"));
                }
                if let Some(new) = self.redriven {
                    let told = reply.and_then(|r| r.task);
                    if !says("already_redriven") || told.is_some() && new.is_some() && told != new {
                        return Vec::new();
                    }
                    return vec![Task {
                        redriven: Some(new.or(told)),
                        ..self.clone()
                    }];
                }
                if self.in_run
                    && reply
                        .is_none_or(|r| ["run_terminal", "run_not_paused"].contains(&&*r.outcome))
                {
                    return unchanged(true);
                }
                if self.in_run && self.flow.is_none() {
                    return Vec::new();
                }
                let mut task = self.clone();
                task.redriven = Some(reply.and_then(|r| r.task));
                if says("redriven") {
                    vec![task]
                } else {
                    Vec::new()
                }
            }
            Act::Get => self.read(state, reply).into_iter().collect(),
            Act::Tail { after } => {
                let from = (*after).clamp(0, self.seq()) as usize;
                let events = self.tape[from..]
                    .iter()
                    .map(|(kind, token)| ((*kind).to_owned(), *token))
                    .collect();
                let last = self.seq().max(*after);
                let whole =
                    reply.is_none_or(|r| r.seq == Some(last) && r.tape.as_ref() == Some(&events));
                unchanged(says("events") && whole)
            }
        }
    }

    fn seq(&self) -> i64 {
        self.tape.len() as i64
    }

    fn reaped_word(&self) -> &'static str {
        match self.state {
            Some(State::Ready | State::Scheduled | State::Blocked) => "requeued",
            Some(state) => state.name(),
            None => "",
        }
    }

    /// What a call answers that has ended the task: `word`, unless its work is undone first.
    fn ended_word(&self, word: &'static str) -> &'static str {
        if self.state == Some(State::Compensating) {
            "compensation_started"
        } else {
            word
        }
    }

    /// With this expiry, if it may be the one.
    fn with_expiry(&self, expires: Option<Time>) -> Option<Task> {
        let Some(time) = expires else {
            return Some(self.clone());
        };
        let lease = self.lease.as_ref()?;
        let lease = Lease {
            expires: lease.expires.and(time, time)?,
            ..lease.clone()
        };
        Some(Task {
            lease: Some(lease),
            ..self.clone()
        })
    }

    /// The latest expiry that the queue allows this lease.
    fn latest(&self, queue: &Queue) -> Option<Time> {
        let lease = self.lease.as_ref()?;
        Some(
            queue
                .max_runtime
                .map_or(Time::MAX, |max| lease.leased_at.saturating_add(max)),
        )
    }

    /// With an expiry that was moved forward to `expires`, counted from when the clock was read.
    fn moved_to(&self, expires: Time, ttl: i64, latest: Time, window: Window) -> Option<Task> {
        let lease = self.lease.as_ref()?;
        if expires <= lease.expires.from || expires > latest {
            return None;
        }
        let mut task = if expires < latest {
            self.at(expires - ttl, window)?
        } else {
            // It would have been later: so the clock was read that late, at least.
            let now = self
                .now(window)
                .and(latest.saturating_sub(ttl), Time::MAX)?;
            Task {
                clock: now.from,
                ..self.clone()
            }
        };
        // What had run out by then is not revived.
        lease.expires.and(task.clock.saturating_add(1), Time::MAX)?;
        task.lease.as_mut()?.expires = Span::at(expires);
        Some(task)
    }

    /// With an expiry that would not have moved forward.
    fn unmoved(&self, ttl: i64, latest: Time, window: Window) -> Option<Task> {
        let would = self.now(window).from.saturating_add(ttl).min(latest);
        let lease = self.lease.as_ref()?;
        let lease = Lease {
            expires: lease.expires.and(would, Time::MAX)?,
            ..lease.clone()
        };
        Some(Task {
            lease: Some(lease),
            ..self.clone()
        })
    }

    fn started(&self, queue: &Queue, reply: Option<&Reply>, window: Window) -> Vec<Task> {
        let Some(latest) = self.latest(queue) else {
            return Vec::new();
        };
        let ttl = queue.lease_ttl;
        let mut after = Vec::new();
        match reply.and_then(|r| r.expires) {
            Some(expires) => {
                let unmoved = self.unmoved(ttl, latest, window);
                after.extend(unmoved.and_then(|task| task.with_expiry(Some(expires))));
                after.extend(self.moved_to(expires, ttl, latest, window));
            }
            None => {
                let mut task = self.clone();
                if let Some(lease) = task.lease.as_mut() {
                    let to = window.to.saturating_add(ttl).min(latest);
                    lease.expires.to = lease.expires.to.max(to);
                }
                after.push(task);
            }
        }
        for task in &mut after {
            if let Some(lease) = task.lease.as_mut() {
                lease.started = true;
                task.tape.push(("started", Some(lease.token)));
            }
        }
        after
    }

    fn extended(
        &self,
        queue: &Queue,
        ttl: i64,
        reply: Option<&Reply>,
        window: Window,
    ) -> Option<Task> {
        let latest = self.latest(queue)?;
        if let Some(expires) = reply.and_then(|r| r.expires) {
            return self.moved_to(expires, ttl, latest, window);
        }
        let lease = self.lease.as_ref()?;
        let now = self.now(window);
        let from = now.from.saturating_add(ttl).max(lease.expires.from);
        let to = now.to.saturating_add(ttl);
        let expires = Span {
            from: from.min(latest),
            to: to.min(latest),
        };
        let mut task = self.clone();
        task.lease.as_mut()?.expires = expires.and(Time::MIN, Time::MAX)?;
        Some(task)
    }

    fn not_extended(
        &self,
        queue: &Queue,
        ttl: i64,
        reply: Option<&Reply>,
        window: Window,
    ) -> Option<Task> {
        self.unmoved(ttl, self.latest(queue)?, window)?
            .with_expiry(reply.and_then(|r| r.expires))
    }

    /// With the end at this time, if the answer tells it and it may be the one.
    fn ended_at(&self, reply: Option<&Reply>) -> Option<Task> {
        let mut task = self.clone();
        if let Some(told) = reply.and_then(|r| r.at) {
            let end = task.end.as_mut()?;
            end.at = end.at.and(told, told)?;
        }
        Some(task)
    }

    fn finalize(&self, token: i64, to: State, report: End, reply: Option<&Reply>) -> Vec<Task> {
        let says = |word: &str| reply.is_none_or(|reply| reply.outcome == word);
        let mut after = Vec::new();
        if let Some(First { state, end, .. }) = self.first_by(token) {
            let word = Task::undone_so(*state == to && end.says_the_same(&report));
            if says(word) && reply.is_none_or(|r| r.state == self.state) {
                after.extend(self.ended_at(reply));
            }
            return after;
        }
        // Expired or not makes no difference here.
        match outcome::needs_current_or_replay(self.found(false).as_ref(), token) {
            None => {
                let ended = self.ended(to, report).and_then(|task| task.ended_at(reply));
                after.extend(ended.filter(|task| {
                    says(task.ended_word("finalized"))
                        && reply.is_none_or(|r| r.state == task.state)
                }));
            }
            Some(Refusal::AlreadyFinalized) => {
                let end = self.end.as_ref().expect("it has ended");
                let same = self.state == Some(to) && end.says_the_same(&report);
                let word = if same {
                    "already_finalized"
                } else {
                    "already_finalized_differently"
                };
                if says(word) && reply.is_none_or(|r| r.state == self.state) {
                    after.extend(self.ended_at(reply));
                }
            }
            Some(refusal) => {
                if says(refusal.word()) && reply.is_none_or(|r| r.state == self.state) {
                    after.extend(self.ended_at(reply));
                }
            }
        }
        after
    }

    fn fail_attempt(
        &self,
        queue: &Queue,
        token: i64,
        error: &Option<String>,
        retry_after: Option<i64>,
        reply: Option<&Reply>,
        window: Window,
    ) -> Vec<Task> {
        let says = |word: &str| reply.is_none_or(|reply| reply.outcome == word);
        let current = self
            .lease
            .as_ref()
            .is_some_and(|lease| lease.token == token);
        let report = |reason: &str| End {
            by: Some(token),
            at: self.now(window),
            result: None,
            error: error.clone(),
            reason: Some(reason.to_owned()),
        };
        if !current {
            if let Some(given) = self
                .given_back
                .get(&token)
                .filter(|given| given.event == "retry_scheduled")
            {
                let same = reply.is_none_or(|r| r.state == Some(given.state));
                let again = self.given_back_again(token, given, reply);
                return again.filter(|_| same).into_iter().collect();
            }
            let (ended, end) = match self.first_by(token) {
                Some(first) => (Some(first.state), Some(&first.end)),
                None => (self.state, self.end.as_ref()),
            };
            let (to, reason) = match ended {
                Some(State::Cancelled) if self.cancel_requested => {
                    let reason = end.and_then(|end| end.reason.as_deref());
                    (State::Cancelled, reason.unwrap_or("cancelled"))
                }
                _ => (State::Failed, "attempts_exhausted"),
            };
            return self.finalize(token, to, report(reason), reply);
        }
        let lease = ending::Lease {
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            lost_leases: self.lost_leases,
            max_lost_leases: queue.max_lost_leases,
            started: false,
            cancel_requested: self.cancel_requested,
            timed_out: false,
            on_lost: queue.on_lost,
        };
        match ending::failed_attempt(&lease) {
            Ending::End { state, reason, .. } => {
                let told = |task: &Task| {
                    says(task.ended_word("finalized"))
                        && reply.is_none_or(|r| r.state == task.state)
                };
                let reason = if state == State::Cancelled {
                    self.asked_because()
                } else {
                    reason
                };
                self.ended(state, report(reason))
                    .filter(told)
                    .into_iter()
                    .collect()
            }
            _ => {
                let delay = match retry_after {
                    Some(delay) => Span::at(delay),
                    None => self.retry_delay(queue),
                };
                self.postponed(token, "retry_scheduled", delay, true, reply, window)
            }
        }
    }

    fn release(
        &self,
        token: i64,
        delay: i64,
        unless_started: bool,
        reply: Option<&Reply>,
        window: Window,
    ) -> Vec<Task> {
        let says = |word: &str| reply.is_none_or(|reply| reply.outcome == word);
        let unchanged = |holds: bool| {
            if holds {
                vec![self.clone()]
            } else {
                Vec::new()
            }
        };
        let lease = self.lease.as_ref().filter(|lease| lease.token == token);
        let Some(lease) = lease else {
            if let Some(given) = self
                .given_back
                .get(&token)
                .filter(|given| given.event == "released")
            {
                let again = self.given_back_again(token, given, reply);
                return again.into_iter().collect();
            }
            let undone = self.first_by(token);
            if undone.is_some_and(|first| first.state == State::Cancelled) && self.cancel_requested
            {
                return unchanged(says("compensation_started"));
            }
            let found = self.found(false);
            let ended = outcome::needs_current_or_replay(found.as_ref(), token)
                == Some(Refusal::AlreadyFinalized);
            if ended && self.state == Some(State::Cancelled) && self.cancel_requested {
                return unchanged(says("cancelled"));
            }
            let word = outcome::needs_current(found.as_ref(), token).map_or("", Refusal::word);
            return unchanged(says(word));
        };
        if self.cancel_requested {
            let end = End {
                by: Some(token),
                at: self.now(window),
                result: None,
                error: None,
                reason: Some(self.asked_because().to_owned()),
            };
            let ended = self.ended(State::Cancelled, end);
            let told = |task: &Task| says(task.ended_word("cancelled"));
            return ended.filter(told).into_iter().collect();
        }
        if unless_started && lease.started {
            return unchanged(says("started"));
        }
        self.postponed(token, "released", Span::at(delay), false, reply, window)
    }

    /// A replay of the call with which the holder gave the lease back.
    fn given_back_again(
        &self,
        token: i64,
        given: &GivenBack,
        reply: Option<&Reply>,
    ) -> Option<Task> {
        let mut task = self.clone();
        if let Some(reply) = reply {
            let run_at = given.run_at.and(reply.run_at?, reply.run_at?)?;
            let given = GivenBack {
                run_at,
                ..given.clone()
            };
            task.given_back.insert(token, given);
            if reply.outcome != task.given_back[&token].event {
                return None;
            }
        }
        Some(task)
    }

    /// The holder gives the lease back.
    fn postponed(
        &self,
        token: i64,
        event: &'static str,
        delay: Span,
        used: bool,
        reply: Option<&Reply>,
        window: Window,
    ) -> Vec<Task> {
        let given_back = if delay.to > 0 {
            self.without_lease(Event::Postpone).into_iter().collect()
        } else {
            self.requeued()
        };
        let now = self.now(window);
        let mut after = Vec::new();
        for mut task in given_back {
            task.tape.push((event, Some(token)));
            task.attempt -= i32::from(!used);
            let mut run_at = Span {
                from: now.from.saturating_add(delay.from),
                to: now.to.saturating_add(delay.to),
            };
            if let Some(reply) = reply {
                let state = reply.state.is_none_or(|state| Some(state) == task.state);
                let Some(told) = reply.run_at.and_then(|at| run_at.and(at, at)) else {
                    continue;
                };
                if reply.outcome != event || !state {
                    continue;
                }
                run_at = told;
            }
            task.run_at = Some(run_at);
            task.clock = task.clock.max(run_at.from.saturating_sub(delay.to));
            let state = task.state.expect("it is there");
            let given = GivenBack {
                event,
                run_at,
                state,
            };
            task.given_back.insert(token, given);
            after.push(task);
        }
        after
    }

    fn lease_by_id(
        &self,
        queue: &Queue,
        state: State,
        owner: &str,
        ttl: i64,
        reply: Option<&Reply>,
        window: Window,
    ) -> Vec<Task> {
        let says = |word: &str| reply.is_none_or(|reply| reply.outcome == word);
        let told = |task: &Task| reply.is_none_or(|reply| reply.state == task.state);
        let acquired = reply.is_none_or(|r| {
            r.outcome == "acquired"
                && r.state == Some(State::Running)
                && r.owner.as_deref().is_none_or(|holder| holder == owner)
        });
        let mut after = Vec::new();
        match state {
            State::Ready => {
                if acquired {
                    after.extend(self.leased(queue, owner, ttl, reply, window));
                }
            }
            State::Running => {
                for (expired, task) in self.live_or_not(window) {
                    let lease = task.lease.as_ref().expect("it runs");
                    if !expired {
                        let holder = reply.is_none_or(|r| r.owner.as_ref() == Some(&lease.owner));
                        if says("held") && holder && told(&task) {
                            after.extend(task.with_expiry(reply.and_then(|r| r.expires)));
                        }
                    } else if lease.owner == owner {
                        // One's own lease: no loss is counted.
                        for freed in task.lost(queue, true, ending::retaken, window.to) {
                            match freed.state {
                                Some(State::Ready) if acquired => {
                                    after.extend(freed.leased(queue, owner, ttl, reply, window));
                                }
                                Some(State::Scheduled | State::Blocked | State::Compensating)
                                    if says("not_ready") && told(&freed) =>
                                {
                                    after.push(freed)
                                }
                                Some(state)
                                    if state.is_terminal() && says("terminal") && told(&freed) =>
                                {
                                    after.push(freed);
                                }
                                _ => {}
                            }
                        }
                    }
                }
            }
            state if state.is_terminal() => {
                if says("terminal") && told(self) {
                    after.push(self.clone());
                }
            }
            _ => {
                // One whose time has come is ready, unless somebody is busy with the slots.
                let waits = match self.run_at {
                    Some(at) if state == State::Scheduled && !self.may_wait() => {
                        at.and(self.now(window).from.saturating_add(1), Time::MAX)
                    }
                    at => at.or(Some(Span::at(0))),
                };
                if says("not_ready")
                    && told(self)
                    && let Some(run_at) = waits
                {
                    after.push(Task {
                        run_at: self.run_at.map(|_| run_at),
                        ..self.clone()
                    });
                }
            }
        }
        after
    }

    /// The task as `task_get` shows it.
    fn read(&self, state: State, reply: Option<&Reply>) -> Option<Task> {
        let Some(reply) = reply else {
            return Some(self.clone());
        };
        let lease = self.lease.as_ref();
        let held_so = match lease {
            Some(lease) => {
                reply.expires.is_some()
                    && reply.started == Some(lease.started)
                    && reply.leased_at == Some(lease.leased_at)
            }
            None => true,
        };
        let same = reply.outcome == "task"
            && reply.state == Some(state)
            && reply.attempt == Some(self.attempt)
            && reply.lost_leases == Some(self.lost_leases)
            && reply.token == lease.map(|lease| lease.token)
            && reply.owner.as_ref() == lease.map(|lease| &lease.owner)
            && reply.seq == Some(self.seq())
            && reply.cancel_requested == Some(self.cancel_requested)
            && reply
                .keys
                .as_ref()
                .is_none_or(|keys| *keys == self.annotated);
        let ended_so = match &self.end {
            Some(end) => {
                reply.result == end.result && reply.reason == end.reason && reply.at.is_some()
            }
            None => reply.result.is_none() && reply.reason.is_none() && reply.at.is_none(),
        };
        if !(held_so && same && ended_so) {
            return None;
        }
        let mut task = self.with_expiry(reply.expires)?.ended_at(Some(reply))?;
        if state == State::Scheduled {
            let told = reply.run_at?;
            task.run_at = Some(match task.run_at {
                Some(at) => at.and(told, told)?,
                None => Span::at(told),
            });
        }
        Some(task)
    }
}
