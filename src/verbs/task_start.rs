use super::access;
use super::args::{self, Checked, answer};
use crate::model::access::Capability::Work;
use crate::model::outcome::{Refusal, may_start};
use crate::pg::datum::Instant;
use crate::pg::xact;
use crate::store::{lease, task};
use pgrx::prelude::*;

/// Tells that the holder of the lease has begun the work: tells dispatched from begun. Optional.
///
/// Arguments: `task_id`; `lease_token`; `ttl` (100 ms to 24 hours from now; NULL: the queue's lease_ttl, also
/// if the lease was acquired for less). The lease is never shortened.
///
/// Outcomes: `not_found`, `terminal`, `lease_lost`, `lease_expired`, `already_started`, `started`.
///
/// Errors: 22004, 22023.
///
/// Locks: the task FOR NO KEY UPDATE; the clock is read once it is held.
#[pg_extern(volatile, parallel_unsafe)]
fn task_start(
    task_id: Option<i64>,
    lease_token: Option<i64>,
    ttl: default!(Option<Interval>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(outcome, String),
        name!(lease_expires_at, Option<Instant>),
    ),
> {
    let session = access::verb(c"task_start()", &[Work]);
    let start = || -> Checked<(&'static str, Option<Instant>)> {
        let task_id = args::required("task_id", task_id)?;
        let token = args::required("lease_token", lease_token)?;
        let ttl = args::ttl("ttl", ttl)?;
        xact::make_durable(); // what has begun may not be forgotten: on_lost looks at it
        loop {
            if let Some(expires) = lease::start(&session, task_id, token, ttl) {
                return Ok(("started", Some(expires)));
            }
            let standing = task::find(&session, task_id);
            match may_start(standing.as_ref().map(|standing| &standing.found), token) {
                Some(Refusal::AlreadyStarted) => {
                    let expires = standing.and_then(|standing| standing.lease_expires_at);
                    return Ok((Refusal::AlreadyStarted.word(), expires));
                }
                Some(refusal) => return Ok((refusal.word(), None)),
                None => {} // The world has moved between the two statements.
            }
        }
    };
    let (outcome, expires) = answer(start());
    TableIterator::once((outcome.to_owned(), expires))
}
