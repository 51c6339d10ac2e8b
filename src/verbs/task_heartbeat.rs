use super::access;
use super::args::{self, Checked, answer};
use crate::model::access::Capability::Work;
use crate::model::limits;
use crate::model::outcome::needs_live;
use crate::pg::datum::{Elements, Instant};
use crate::pg::session::Session;
use crate::store::{lease, task};
use pgrx::prelude::*;

/// Extends a lease, and learns whether somebody asked to cancel the task.
///
/// Arguments: `task_id`; `lease_token`; `ttl` (100 ms to 24 hours from now; NULL: the queue's lease_ttl).
///
/// Outcomes: `not_found`, `terminal`, `lease_lost`, `lease_expired` (also when nobody took it yet: an expired lease is
/// never revived), `not_extended` (the expiry would not move forward, or max_runtime is reached), `extended`.
/// `lease_expires_at` is NULL unless the caller still holds the lease.
///
/// Errors: 22004, 22023.
///
/// Locks: the task FOR NO KEY UPDATE; the clock is read once it is held, so a heartbeat that waited past its expiry is
/// told so.
#[pg_extern(volatile, parallel_unsafe)]
fn task_heartbeat(
    task_id: Option<i64>,
    lease_token: Option<i64>,
    ttl: default!(Option<Interval>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(outcome, String),
        name!(lease_expires_at, Option<Instant>),
        name!(cancel_requested, bool),
    ),
> {
    let session = access::verb(c"task_heartbeat()", &[Work]);
    let heartbeat = || -> Checked<Answer> {
        let task_id = args::required("task_id", task_id)?;
        let token = args::required("lease_token", lease_token)?;
        let ttl = args::ttl("ttl", ttl)?;
        Ok(heartbeat(&session, task_id, token, ttl))
    };
    let answer = answer(heartbeat());
    TableIterator::once((
        answer.outcome.to_owned(),
        answer.lease_expires_at,
        answer.cancel_requested,
    ))
}

/// Extends many leases: a worker's, or a whole node's.
///
/// Arguments: `task_ids` and `lease_tokens` (as many, at most 1000); `ttl`, as in task_heartbeat.
///
/// Outcomes, a row per element with its `ordinal` from 1: as task_heartbeat.
///
/// Errors: 22004, 22023 (arrays of unequal length), 54000 (too many).
///
/// Locks: as task_heartbeat, in the order of the task ids.
#[pg_extern(volatile, parallel_unsafe)]
fn task_heartbeat_many(
    task_ids: Option<Elements<i64>>,
    lease_tokens: Option<Elements<i64>>,
    ttl: default!(Option<Interval>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(ordinal, i64),
        name!(task_id, i64),
        name!(outcome, String),
        name!(lease_expires_at, Option<Instant>),
        name!(cancel_requested, bool),
    ),
> {
    let session = access::verb(c"task_heartbeat_many()", &[Work]);
    let heartbeat_many = || -> Checked<Vec<(i64, i64, Answer)>> {
        let leases = args::leases(task_ids, lease_tokens, limits::MAX_TASKS as usize)?;
        let ttl = args::ttl("ttl", ttl)?;
        let mut answers: Vec<_> = args::in_lock_order(&leases)
            .into_iter()
            .map(|i| {
                let (task_id, token) = leases[i];
                (
                    i as i64 + 1,
                    task_id,
                    heartbeat(&session, task_id, token, ttl),
                )
            })
            .collect();
        answers.sort_by_key(|(ordinal, ..)| *ordinal);
        Ok(answers)
    };
    TableIterator::new(
        answer(heartbeat_many())
            .into_iter()
            .map(|(ordinal, task_id, answer)| {
                (
                    ordinal,
                    task_id,
                    answer.outcome.to_owned(),
                    answer.lease_expires_at,
                    answer.cancel_requested,
                )
            }),
    )
}

struct Answer {
    outcome: &'static str,
    lease_expires_at: Option<Instant>,
    cancel_requested: bool,
}

fn heartbeat(session: &Session, task_id: i64, token: i64, ttl: Option<Interval>) -> Answer {
    loop {
        if let Some(beat) = lease::heartbeat(session, task_id, token, ttl) {
            let outcome = match (beat.live, beat.extended) {
                (false, _) => "lease_expired",
                (true, false) => "not_extended",
                (true, true) => "extended",
            };
            return Answer {
                outcome,
                lease_expires_at: beat.live.then_some(beat.lease_expires_at),
                cancel_requested: beat.cancel_requested,
            };
        }
        let standing = task::find(session, task_id);
        let refusal = needs_live(standing.as_ref().map(|standing| &standing.found), token);
        if let Some(refusal) = refusal {
            return Answer {
                outcome: refusal.word(),
                lease_expires_at: None,
                cancel_requested: standing.is_some_and(|standing| standing.cancel_requested),
            };
        }
        // The world has moved between the two statements.
    }
}
