//! A task as the tables hold it, and the statements of `sql/queries` that write it, column by column.
//! Nothing is decided here.

use super::history::History;
use crate::model::outcome::Found;
use crate::model::state::State;

/// Leases of one task that a configuration may grant.
pub const LEASES: usize = 3;

/// Why a task ended, as far as the rules tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    None,
    Cancelled,
    Forced,
    LeaseLost,
    LostLeases,
    AttemptsExhausted,
    TimedOut,
}

impl Reason {
    /// The words of `src/model/ending.rs`.
    pub fn parse(word: &str) -> Reason {
        match word {
            "cancelled" => Reason::Cancelled,
            "lease_lost" => Reason::LeaseLost,
            "lost_leases" => Reason::LostLeases,
            "attempts_exhausted" => Reason::AttemptsExhausted,
            "timed_out" => Reason::TimedOut,
            word => panic!("a reason that nobody knows: {word}"),
        }
    }
}

/// The event that tells a worker, asking again, how it gave its lease back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GivenBack {
    Retry,
    Release,
}

/// One version of a task: its row in `task_live` or `task_done`, its tape, and what the model remembers of it.
/// Times and tokens are 0 for NULL. A transaction has a version of its own until it commits, so a
/// rollback takes back the memory, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Task {
    pub state: State,
    pub lease_token: u8,
    pub owner: u8,
    pub leased_at: u8,
    pub expires_at: u8,
    pub check_at: u8,
    pub run_at: u8,
    pub attempt: u8,
    pub lost_leases: u8,
    pub started: bool,
    pub cancel_requested: bool,
    pub last_seq: u8,
    pub leased_seq: u8,
    pub ended_by_lease: bool,
    pub reason: Reason,
    /// The rows of `baton.event`, a bit per `seq`.
    pub tape: u32,
    /// Those of them that `settled.sql` looks for, by token.
    pub given_back: [Option<(u8, GivenBack)>; LEASES],
    pub history: History,
}

impl Task {
    pub fn new() -> Task {
        Task {
            state: State::Ready,
            lease_token: 0,
            owner: 0,
            leased_at: 0,
            expires_at: 0,
            check_at: 0,
            run_at: 0,
            attempt: 0,
            lost_leases: 0,
            started: false,
            cancel_requested: false,
            last_seq: 0,
            leased_seq: 0,
            ended_by_lease: false,
            reason: Reason::None,
            tape: 0,
            given_back: [None; LEASES],
            history: History::new(),
        }
    }

    pub fn running(&self) -> bool {
        self.state == State::Running
    }

    pub fn expired(&self, now: u8) -> bool {
        self.running() && self.expires_at <= now
    }

    /// found.sql
    pub fn found(&self, now: u8) -> Found {
        Found {
            state: self.state,
            lease_token: (self.lease_token > 0).then_some(i64::from(self.lease_token)),
            ended_by_lease: self.ended_by_lease,
            expired: self.expired(now),
            started: self.started,
        }
    }

    /// settled.sql
    pub fn settled(&self, token: u8) -> Option<GivenBack> {
        let mut events = self.given_back.iter().flatten();
        events.find(|(of, _)| *of == token).map(|(_, event)| *event)
    }

    /// Writes the next event as a row of the tape.
    pub fn append(&mut self) {
        self.last_seq += 1;
        self.tape |= 1 << self.last_seq;
    }

    /// `store::lease::claim`, lease.sql
    pub fn lease(&mut self, token: u8, owner: u8, now: u8, expires_at: u8) {
        self.state = State::Running;
        self.lease_token = token;
        self.owner = owner;
        self.leased_at = now;
        self.expires_at = expires_at;
        self.check_at = expires_at;
        self.started = false;
        self.attempt += 1;
        self.last_seq += 1;
        self.leased_seq = self.last_seq;
    }

    /// end_lease.sql: its `leased` event moves to the tape, and another one follows.
    pub fn end_lease(&mut self, state: State, used: bool, loss_counted: bool, run_at: u8) {
        if self.leased_seq > 0 {
            self.tape |= 1 << self.leased_seq;
        }
        self.state = state;
        self.attempt -= u8::from(!used && self.attempt > 0);
        self.lost_leases += u8::from(loss_counted);
        self.run_at = if state == State::Scheduled { run_at } else { 0 };
        self.lease_token = 0;
        self.owner = 0;
        self.leased_at = 0;
        self.expires_at = 0;
        self.check_at = 0;
        self.leased_seq = 0;
        self.started = false;
        self.append();
    }

    /// `store::lease::finalize`, end_task.sql: the live row goes, the done row comes, and is the final event. `lost`: with the
    /// lease the attempt was lost, and the tape says so.
    pub fn end(&mut self, state: State, reason: Reason, by_lease: bool, lost: bool) {
        if lost {
            self.tape |= 1 << self.leased_seq;
            self.leased_seq = 0;
            self.append();
            self.attempt -= 1;
            self.lost_leases += 1;
        }
        self.last_seq += 1;
        self.state = state;
        self.reason = reason;
        self.ended_by_lease = by_lease;
        self.expires_at = 0;
        self.check_at = 0;
        self.run_at = 0;
    }

    /// The tape as `task_events` reads it: the rows, the `leased` event of the last lease, the final event.
    /// `None`: two of them have one `seq`.
    pub fn tape_as_read(&self) -> Option<u32> {
        let mut read = self.tape;
        let of_the_row = [
            (self.leased_seq > 0).then_some(self.leased_seq),
            self.state.is_terminal().then_some(self.last_seq),
        ];
        for seq in of_the_row.into_iter().flatten() {
            if read & 1 << seq != 0 {
                return None;
            }
            read |= 1 << seq;
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leased() -> Task {
        let mut task = Task::new();
        task.lease(1, 1, 1, 2);
        task
    }

    #[test]
    fn a_usual_life_has_two_events_and_no_row_on_the_tape() {
        let mut task = leased();
        task.end(State::Completed, Reason::None, true, false);
        assert_eq!(task.tape, 0);
        assert_eq!(task.tape_as_read(), Some(0b110));
        assert_eq!(task.attempt, 1);
    }

    #[test]
    fn an_end_with_the_lease_lost_says_so_on_the_tape() {
        let mut task = leased();
        task.end(State::Quarantined, Reason::LostLeases, false, true);
        // leased, lease_lost, final
        assert_eq!(task.tape_as_read(), Some(0b1110));
        assert_eq!((task.attempt, task.lost_leases), (0, 1));
    }

    #[test]
    fn two_events_with_one_seq_cannot_be_read() {
        let mut task = leased();
        task.tape |= 1 << task.leased_seq;
        assert_eq!(task.tape_as_read(), None);
    }
}
