//! What each call finds in its snapshot, and what it does once it holds the task: the verbs of `src/verbs`, with the
//! rules of `src/model`. A fault replaces one line of it.

use super::history::{Fate, reported};
use super::task::{GivenBack, Reason, Task};
use super::{Call, Fault, Holder, Lifecycle, Rule, World};
use crate::model::ending::{self, Ending};
use crate::model::outcome::{self, Refusal};
use crate::model::state::State;
use crate::model::transition::{self, Event};
use crate::words::Word;

fn word(refusal: Refusal) -> Word {
    match refusal {
        Refusal::NotFound => unreachable!("every task is there"),
        Refusal::AlreadyFinalized => Word::AlreadyFinalized,
        Refusal::Terminal => Word::Terminal,
        Refusal::LeaseLost => Word::LeaseLost,
        Refusal::LeaseExpired => Word::LeaseExpired,
        Refusal::AlreadyStarted => Word::AlreadyStarted,
    }
}

impl Lifecycle {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// `WHERE task_id = … AND lease_token = …`, in the tables of live tasks.
    fn fence(&self, task: &Task, by: Holder) -> bool {
        task.running() && task.lease_token == by.token
    }

    /// The WHERE of the call's statement, but for what depends on the clock.
    fn matches(&self, task: &Task, call: &Call) -> bool {
        let live = !task.state.is_terminal();
        match *call {
            Call::AcquireInLine { .. } => live && task.state != State::Blocked,
            Call::AcquireById { .. } | Call::Cancel { .. } | Call::Append { by: None, .. } => live,
            Call::Reap { .. } => task.running() || task.state == State::Scheduled,
            Call::ReapOwner {
                owner, up_to_token, ..
            } => {
                task.running()
                    && task.owner == owner
                    && (task.lease_token <= up_to_token || self.has(Fault::ReapOwnerByName))
            }
            // In the layout of one row per task, where nothing else stops it.
            Call::Finalize { .. } if self.has(Fault::FinalizeById) => true,
            Call::Heartbeat { .. } if self.has(Fault::HeartbeatUnfenced) => live,
            Call::Append { .. } if self.has(Fault::AppendUnfenced) => live,
            Call::Append { by: Some(by), .. }
            | Call::Start { by, .. }
            | Call::Heartbeat { by, .. }
            | Call::Finalize { by, .. }
            | Call::FailAttempt { by, .. }
            | Call::Release { by, .. }
            | Call::RequireLease { by, .. } => self.fence(task, by),
        }
    }

    /// What an acquire or a reap looks for, as it is at this time.
    fn is_due(&self, task: &Task, call: &Call, now: u8) -> bool {
        match call {
            Call::AcquireInLine { .. } => match task.state {
                State::Ready => true,
                State::Scheduled => task.run_at <= now,
                _ => task.check_at <= now && task.expires_at <= now,
            },
            // An overdue lease, or one that heartbeats have extended and that is to be looked at later, or
            // a scheduled task whose time has come.
            Call::Reap { .. } if task.running() => task.check_at <= now,
            Call::Reap { .. } => task.run_at <= now,
            _ => true,
        }
    }

    /// What the first statement finds in its snapshot. `None`: nothing, and it locks nothing.
    pub(super) fn sees(&self, task: &Task, call: &Call, now: u8) -> Option<u8> {
        if !self.matches(task, call) || !self.is_due(task, call, now) {
            return None;
        }
        if self.has(Fault::ReapFromOldSnapshot)
            && matches!(call, Call::Reap { .. })
            && !task.expired(now)
        {
            return None;
        }
        Some(match call {
            Call::Heartbeat { .. } | Call::Start { .. } if self.has(Fault::ExpiryBeforeLock) => now,
            Call::Append { .. } if self.has(Fault::SeqWithoutLock) => task.last_seq + 1,
            _ => 0,
        })
    }

    /// With the lock held the statement looks again, at the latest version of this row.
    pub(super) fn still_matches(&self, task: &Task, call: &Call, _saw: u8, now: u8) -> bool {
        match call {
            Call::Reap { .. } if self.has(Fault::ReapFromOldSnapshot) => true,
            Call::AcquireInLine { .. } if self.has(Fault::AcquireUnchecked) => {
                !task.state.is_terminal()
            }
            Call::Append { .. } if self.has(Fault::AppendBeforeLock) => true,
            _ => self.matches(task, call) && self.is_due(task, call, now),
        }
    }

    /// The answer to a call that found nothing. `None`: nothing speaks against it, it would try again.
    pub(super) fn explanation(&self, task: &Task, call: &Call, now: u8) -> Option<Word> {
        let found = task.found(now);
        let found = Some(&found);
        match *call {
            Call::AcquireInLine { .. } | Call::Reap { .. } | Call::ReapOwner { .. } => {
                Some(Word::NoRow)
            }
            Call::AcquireById { .. } | Call::Cancel { .. } => Some(Word::Terminal),
            Call::Start { by, .. } => outcome::may_start(found, by.token.into()).map(word),
            Call::Heartbeat { by, .. } => outcome::needs_live(found, by.token.into()).map(word),
            Call::Finalize { by, state, .. } => {
                self.refused(task, by, (state, reported(state)), now)
            }
            Call::FailAttempt { by, .. } => {
                if task.settled(by.token) == Some(GivenBack::Retry) {
                    return Some(Word::RetryScheduled);
                }
                let cancelled = task.state == State::Cancelled && task.cancel_requested;
                let report = if cancelled {
                    (State::Cancelled, task.reason)
                } else {
                    (State::Failed, Reason::AttemptsExhausted)
                };
                self.refused(task, by, report, now)
            }
            Call::Release { by, .. } => {
                if task.settled(by.token) == Some(GivenBack::Release) {
                    return Some(Word::Released);
                }
                let ended_so = task.state == State::Cancelled && task.cancel_requested;
                let replay = outcome::needs_current_or_replay(found, by.token.into());
                if ended_so && replay == Some(Refusal::AlreadyFinalized) {
                    return Some(Word::Cancelled);
                }
                outcome::needs_current(found, by.token.into()).map(word)
            }
            Call::Append { .. } if task.state.is_terminal() => Some(Word::DroppedAfterFinal),
            Call::Append { by, .. } => {
                let refused =
                    by.is_some_and(|by| outcome::needs_current(found, by.token.into()).is_some());
                refused.then_some(Word::LeaseLost)
            }
            Call::RequireLease { .. } => Some(Word::Raised),
        }
    }

    fn refused(&self, task: &Task, by: Holder, report: (State, Reason), now: u8) -> Option<Word> {
        if self.has(Fault::ReplayByState) && task.state == report.0 {
            return Some(Word::AlreadyFinalized);
        }
        let refusal = outcome::needs_current_or_replay(Some(&task.found(now)), by.token.into())?;
        // finalized_same.sql
        if refusal == Refusal::AlreadyFinalized && (task.state, task.reason) != report {
            return Some(Word::AlreadyFinalizedDifferently);
        }
        Some(word(refusal))
    }

    /// The state after a move, which the machine must know.
    fn moved(&self, world: &mut World, task: &Task, event: Event, to: State) -> State {
        match transition::next(task.state, event) {
            Ok(state) => state,
            Err(_) => {
                world.break_rule(Rule::L1);
                to
            }
        }
    }

    fn lease(&self, task: &Task) -> ending::Lease {
        ending::Lease {
            attempt: task.attempt.into(),
            max_attempts: self.max_attempts.into(),
            lost_leases: task.lost_leases.into(),
            max_lost_leases: self.max_lost_leases.into(),
            started: task.started,
            cancel_requested: task.cancel_requested && !self.has(Fault::CancelForgotten),
            timed_out: self.timed_out(task),
            on_lost: self.on_lost,
        }
    }

    /// What the call does with the task that it holds, and what it answers.
    pub(super) fn execute(&self, world: &mut World, task: &mut Task, call: &Call, saw: u8) -> Word {
        let now = world.clock;
        match *call {
            Call::AcquireInLine { owner, .. } => {
                if self.free(world, task, now, false) == State::Ready
                    || self.has(Fault::AcquireUnchecked)
                {
                    self.grant(world, task, owner);
                    Word::Leased
                } else {
                    // What it settled has ended, or waits.
                    Word::NoRow
                }
            }
            Call::AcquireById { owner, .. } => {
                if task.running() && !task.expired(now) {
                    return Word::Held;
                }
                let own = task.owner == owner;
                match self.free(world, task, now, own) {
                    State::Ready => {
                        self.grant(world, task, owner);
                        Word::Acquired
                    }
                    state if state.is_terminal() => Word::Terminal,
                    _ => Word::NotReady,
                }
            }
            Call::Start { .. } => {
                let seen = if saw > 0 { saw } else { now };
                if task.expires_at <= seen {
                    return Word::LeaseExpired;
                }
                if task.started {
                    return Word::AlreadyStarted;
                }
                self.not_revived(world, task);
                task.started = true;
                task.append();
                task.expires_at =
                    task.expires_at
                        .max(self.expiry(task.leased_at, now, self.beat_ttl));
                task.history.promise(task.expires_at);
                Word::Started
            }
            Call::Heartbeat { .. } => {
                let seen = if saw > 0 { saw } else { now };
                let expires_at = self.expiry(task.leased_at, now, self.beat_ttl);
                if self.has(Fault::HeartbeatUnfenced) && !task.running() {
                    task.expires_at = expires_at;
                    return Word::Extended;
                }
                if task.expires_at <= seen {
                    return Word::LeaseExpired;
                }
                if expires_at <= task.expires_at {
                    return Word::NotExtended;
                }
                self.not_revived(world, task);
                task.expires_at = expires_at;
                if self.has(Fault::CheckTooLate) {
                    task.check_at = expires_at + 1;
                }
                task.history.promise(expires_at);
                Word::Extended
            }
            Call::Finalize { state, .. } => {
                let event =
                    transition::ending_in(state).expect("workers report states that end a task");
                let state = self.moved(world, task, event, state);
                let reason = reported(state);
                task.end(state, reason, true, false);
                task.history.settle(Fate::EndedByHolder(state, reason));
                Word::Finalized
            }
            Call::FailAttempt { later, .. } => match ending::failed_attempt(&self.lease(task)) {
                Ending::End { state, reason, .. } => {
                    self.end_by_holder(world, task, state, Reason::parse(reason));
                    Word::Finalized
                }
                _ => {
                    self.give_back(world, task, GivenBack::Retry, later);
                    Word::RetryScheduled
                }
            },
            Call::Release {
                later,
                unless_started,
                ..
            } => {
                if task.cancel_requested {
                    self.end_by_holder(world, task, State::Cancelled, Reason::Cancelled);
                    Word::Cancelled
                } else if unless_started && task.started {
                    Word::Started
                } else {
                    self.give_back(world, task, GivenBack::Release, later);
                    Word::Released
                }
            }
            Call::Append { .. } if self.has(Fault::SeqWithoutLock) => {
                if task.tape & 1 << saw != 0 || task.leased_seq == saw {
                    world.break_rule(Rule::E1);
                }
                task.tape |= 1 << saw;
                task.last_seq = task.last_seq.max(saw);
                Word::Appended
            }
            Call::Append { .. } if task.state.is_terminal() => {
                // Only with a fault: behind the final event.
                task.tape |= 1 << (task.last_seq + 1);
                Word::Appended
            }
            Call::Append { .. } => {
                task.append();
                Word::Appended
            }
            Call::RequireLease { .. } => {
                if task.expired(now) {
                    Word::Raised
                } else {
                    Word::Passed
                }
            }
            Call::Cancel { force, .. } => self.cancel(world, task, force),
            Call::Reap { .. } => self.reap(world, task),
            Call::ReapOwner { up_to_token, .. } => {
                if task.lease_token > up_to_token {
                    world.break_rule(Rule::A3);
                }
                let mut lease = self.lease(task);
                lease.timed_out &= task.expired(now);
                let state = self.settle(world, task, ending::lost(&lease), true);
                swept(state)
            }
        }
    }

    /// A4: an expired lease is not extended, nor begun.
    fn not_revived(&self, world: &mut World, task: &Task) {
        let mut history = task.history;
        if let Some(lease) = history.current()
            && lease.until <= world.clock
        {
            world.break_rule(Rule::A4);
        }
    }

    fn end_by_holder(&self, world: &mut World, task: &mut Task, state: State, reason: Reason) {
        let event = transition::ending_in(state).expect("somebody ends tasks in this state");
        let state = self.moved(world, task, event, state);
        task.end(state, reason, true, false);
        task.history.settle(Fate::EndedByHolder(state, reason));
    }

    /// The holder gives its lease back, and the task lives on.
    fn give_back(&self, world: &mut World, task: &mut Task, how: GivenBack, later: bool) {
        let (event, to) = if later {
            (Event::Postpone, State::Scheduled)
        } else {
            (Event::Requeue, State::Ready)
        };
        let state = self.moved(world, task, event, to);
        let free = task.given_back.iter().position(Option::is_none);
        let free = free.expect("a lease is given back once");
        task.given_back[free] = Some((task.lease_token, how));
        let used = how == GivenBack::Retry || self.has(Fault::ReleaseCounted);
        let expires_at = task.expires_at;
        task.end_lease(state, used, false, world.clock + 1);
        if self.has(Fault::ExpiryLeftBehind) {
            task.expires_at = expires_at;
        }
        task.history.settle(match how {
            GivenBack::Retry => Fate::Retried,
            GivenBack::Release => Fate::Released,
        });
        task.history.holder = 0;
    }

    /// `overdue::settle`. `ended`: its holder is told, or known to be dead, or its time is over.
    fn settle(&self, world: &mut World, task: &mut Task, how: Ending, ended: bool) -> State {
        let fate = match how {
            Ending::Requeue { counted } | Ending::End { lost: counted, .. } => {
                let ends = matches!(how, Ending::End { .. });
                match (ends, counted) {
                    (true, false) => Fate::Used,
                    _ => Fate::Lost { counted },
                }
            }
            Ending::Retry => Fate::Used,
        };
        match how {
            Ending::Requeue { counted } => {
                let state = self.moved(world, task, Event::Requeue, State::Ready);
                task.end_lease(state, false, counted, 0);
            }
            Ending::Retry => {
                let state = self.moved(world, task, Event::Postpone, State::Scheduled);
                task.end_lease(state, true, false, world.clock + 1);
            }
            Ending::End {
                state,
                reason,
                lost,
            } => {
                let event =
                    transition::ending_in(state).expect("somebody ends tasks in this state");
                let state = self.moved(world, task, event, state);
                task.end(state, Reason::parse(reason), false, lost);
            }
        }
        if ended {
            task.history.settle(fate);
        }
        if !task.state.is_terminal() {
            task.history.holder = 0;
        }
        task.state
    }

    /// Makes a locked task ready if its time, or its former lease, has run out.
    fn free(&self, world: &mut World, task: &mut Task, now: u8, own: bool) -> State {
        match task.state {
            State::Running if task.expired(now) => {
                let lease = self.lease(task);
                let how = if own {
                    ending::retaken(&lease)
                } else {
                    ending::lost(&lease)
                };
                self.settle(world, task, how, true)
            }
            State::Scheduled if task.run_at <= now => {
                task.state = self.moved(world, task, Event::Due, State::Ready);
                task.run_at = 0;
                task.state
            }
            state => state,
        }
    }

    fn grant(&self, world: &mut World, task: &mut Task, owner: u8) {
        let state = self.moved(world, task, Event::Acquire, State::Running);
        world.drawn += 1;
        let leases = task.history.leases;
        let highest = leases.iter().map(|lease| lease.token).max().unwrap_or(0);
        let token = match self.fault {
            Some(Fault::FenceByOwner) => owner,
            Some(Fault::FenceByAttempt) => task.attempt + 1,
            Some(Fault::TokenFromRow) => highest + 1,
            _ => world.drawn,
        };
        if token <= highest || world.phantom.is_some_and(|by| by.token == token) {
            world.break_rule(Rule::A2);
        }
        let expires_at = self.expiry(world.clock, world.clock, self.ttl);
        task.lease(token, owner, world.clock, expires_at);
        task.state = state;
        task.history.grant(owner, token, expires_at);
    }

    fn cancel(&self, world: &mut World, task: &mut Task, force: bool) -> Word {
        let running = task.running();
        if running && !force {
            // Once: who asks again is told the same.
            if !task.cancel_requested {
                task.cancel_requested = true;
                task.append();
            }
            return Word::CancelRequested;
        }
        task.history.told_cancelled = true;
        if self.has(Fault::CancelSetsFlag) && !running {
            task.cancel_requested = true;
            return Word::Cancelled;
        }
        let state = self.moved(world, task, Event::Cancel, State::Cancelled);
        let reason = if running {
            Reason::Forced
        } else {
            Reason::Cancelled
        };
        task.end(state, reason, false, false);
        task.history.settle(Fate::Used);
        Word::Cancelled
    }

    fn reap(&self, world: &mut World, task: &mut Task) -> Word {
        let now = world.clock;
        if self.has(Fault::ReapFromOldSnapshot) {
            let ended = task.history.live(now) == 0;
            let state = self.settle(world, task, Ending::Requeue { counted: true }, ended);
            return swept(state);
        }
        if task.state == State::Scheduled {
            self.free(world, task, now, false);
            return Word::NoRow;
        }
        if !task.expired(now) {
            task.check_at = task.expires_at;
            return Word::NoRow;
        }
        let how = ending::lost(&self.lease(task));
        let state = self.settle(world, task, how, true);
        swept(state)
    }
}

/// The outcome word of a reap.
fn swept(state: State) -> Word {
    match state {
        State::Ready | State::Scheduled => Word::Requeued,
        State::Failed => Word::Failed,
        State::Quarantined => Word::Quarantined,
        _ => Word::Cancelled,
    }
}
