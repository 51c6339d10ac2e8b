use super::access;
use super::args::{self, Checked, answer};
use super::granted;
use super::{advance, overdue};
use crate::model::access::Capability::Work;
use crate::model::ending;
use crate::model::state::State;
use crate::pg::datum::{Instant, Jsonb, Text};
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::lease::{self, Due, Locked, Taker};
use crate::store::queue;
use pgrx::prelude::*;

/// Leases one task by its id.
///
/// Arguments: `task_id`; `owner`; `ttl` (100 ms to 24 hours; NULL: the queue's lease_ttl).
///
/// Outcomes: `not_found`, `terminal`, `held` (by whom, until when), `not_ready` (scheduled or blocked, or its queue is
/// paused, or its run paused or called off), `acquired`. An expired lease may be taken: it counts as lost, unless it was the caller's own; if that was one loss
/// too many, the task ends and the answer is `terminal` (`not_ready`, if its work is undone first).
///
/// Errors: 22004, 22023.
///
/// Locks: the task FOR UPDATE, waiting for it; what follows if an expired lease ends the task, as in task_finalize.
#[pg_extern(volatile, parallel_unsafe)]
fn task_acquire_lease_by_id(
    task_id: Option<i64>,
    owner: Option<Text>,
    ttl: default!(Option<Interval>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(outcome, String),
        name!(state, Option<String>),
        name!(lease_token, Option<i64>),
        name!(lease_expires_at, Option<Instant>),
        name!(attempt, Option<i32>),
        name!(held_by, Option<String>),
        name!(payload, Option<Jsonb>),
    ),
> {
    let session = access::verb(c"task_acquire_lease_by_id()", &[Work]);
    let acquire = || -> Checked<Answer> {
        let task_id = args::required("task_id", task_id)?;
        let owner = args::required_word("owner", owner)?;
        let ttl = args::ttl("ttl", ttl)?;
        Ok(acquire(&session, task_id, &owner, ttl))
    };
    let answer = answer(acquire());
    TableIterator::once((
        answer.outcome.to_owned(),
        answer.state.map(|state| state.name().to_owned()),
        answer.lease_token,
        answer.lease_expires_at,
        answer.attempt,
        answer.held_by,
        answer.payload,
    ))
}

#[derive(Default)]
struct Answer {
    outcome: &'static str,
    state: Option<State>,
    lease_token: Option<i64>,
    lease_expires_at: Option<Instant>,
    attempt: Option<i32>,
    held_by: Option<String>,
    payload: Option<Jsonb>,
}

fn acquire(session: &Session, task_id: i64, owner: &str, ttl: Option<Interval>) -> Answer {
    xact::force_id();
    let task = match overdue::lock_live(session, task_id) {
        Ok(task) => task,
        Err(ended) => {
            return Answer {
                outcome: ended.map_or("not_found", |_| "terminal"),
                state: ended,
                ..Answer::default()
            };
        }
    };
    if task.state == State::Running && !task.expired {
        return Answer {
            outcome: "held",
            state: Some(task.state),
            lease_expires_at: task.lease_expires_at,
            held_by: task.owner,
            ..Answer::default()
        };
    }
    let paused =
        task.paused || xact::has_fixed_snapshot() && queue::is_paused(session, task.place.queue_id);
    if paused {
        return Answer {
            outcome: "not_ready",
            state: Some(task.state),
            ..Answer::default()
        };
    }
    match free(session, &task, owner) {
        State::Ready => {}
        state => {
            let outcome = if state.is_terminal() {
                "terminal"
            } else {
                "not_ready"
            };
            return Answer {
                outcome,
                state: Some(state),
                ..Answer::default()
            };
        }
    }
    xact::make_durable();
    let taker = Taker {
        owner,
        ttl: ttl.unwrap_or(task.lease_ttl),
        max_runtime: task.max_runtime,
    };
    let mut granted = granted::check(session, lease::lease(session, vec![task_id], &taker));
    let Some(leased) = granted.leased.pop() else {
        let in_line = granted.in_line_again > 0;
        return Answer {
            outcome: "not_ready",
            state: Some(if in_line {
                State::Ready
            } else {
                State::Blocked
            }),
            ..Answer::default()
        };
    };
    Answer {
        outcome: "acquired",
        state: Some(State::Running),
        lease_token: Some(leased.lease_token),
        lease_expires_at: Some(leased.lease_expires_at),
        attempt: Some(leased.attempt),
        held_by: Some(owner.to_owned()),
        payload: Some(leased.payload),
    }
}

/// Makes a locked task ready if its time or its former lease has run out; returns its state.
fn free(session: &Session, task: &Locked, owner: &str) -> State {
    match task.state {
        State::Running => {
            let own = task.owner.as_deref() == Some(owner);
            let ending = if own {
                ending::retaken(&task.lease)
            } else {
                ending::lost(&task.lease)
            };
            xact::make_durable();
            let mut left = Vec::new();
            let state = overdue::settle(session, task, ending, &mut left);
            advance::after(session, left);
            state
        }
        State::Scheduled if task.due => {
            let due = Due {
                task_id: task.task_id,
                step_id: task.place.shard.and(task.place.step_id),
                slot_keys: task.place.slot_keys.clone(),
            };
            overdue::promote_in_run(session, task.place.queue_id, &due)
        }
        state => state,
    }
}
