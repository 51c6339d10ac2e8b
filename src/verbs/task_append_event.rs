use super::access;
use super::args::{self, Checked, answer};
use crate::model::outcome::needs_current;
use crate::pg::datum::{Instant, Jsonb, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::settings;
use crate::store::tape::{self, New};
use crate::store::task;
use pgrx::prelude::*;

/// Appends an event to a task's tape. After `final` nothing is appended.
///
/// Arguments: `task_id`; `kind` (1 to 255 bytes, not one that the functions themselves write); `body` (JSON);
/// `lease_token` (the worker's; NULL: whoever controls the task); `dedup_key` (the same key is appended once per
/// tape).
///
/// Outcomes: `not_found`, `exists` (the dedup key: that event's seq), `dropped_after_final` (with the tape's highest seq; the event
/// is not stored and has no time), `lease_lost`, `appended`.
///
/// Errors: 22004, 22023 (bad or reserved kind), 54000 (body too large, or pg_baton.max_events_per_task reached).
///
/// Locks: the task FOR NO KEY UPDATE, which makes seq dense and its order the commit order.
#[pg_extern(volatile, parallel_unsafe)]
fn task_append_event(
    task_id: Option<i64>,
    kind: Option<Text>,
    body: default!(Option<Jsonb>, "NULL"),
    lease_token: default!(Option<i64>, "NULL"),
    dedup_key: default!(Option<Text>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(outcome, String),
        name!(seq, Option<i64>),
        name!(at, Option<Instant>),
        name!(cancel_requested, bool),
    ),
> {
    let session = access::verb(c"task_append_event()", access::by_token(lease_token));
    let append = || -> Checked<(&'static str, Option<i64>, Option<Instant>, bool)> {
        let task_id = args::required("task_id", task_id)?;
        let kind = args::kind(args::required_word("kind", kind)?)?;
        let body = args::json("body", body)?;
        let dedup_key = args::optional_word("dedup_key", dedup_key)?;
        let max_events = settings::max_events_per_task();
        let new = [New {
            kind,
            body,
            dedup_key: dedup_key.clone(),
        }];
        loop {
            if let Some(key) = &dedup_key {
                tape::lock(&session, task_id);
                let found = tape::by_dedup_key(&session, task_id, vec![key.clone()]);
                if let Some((seq, at)) = found.first() {
                    let cancel_requested = task::find(&session, task_id)
                        .is_some_and(|standing| standing.cancel_requested);
                    return Ok(("exists", Some(*seq), Some(*at), cancel_requested));
                }
            }
            if let Some(appended) = tape::append(&session, task_id, lease_token, &new, max_events) {
                return Ok((
                    "appended",
                    Some(appended.seq),
                    Some(appended.at),
                    appended.cancel_requested,
                ));
            }
            if let Some((outcome, seq, cancel_requested)) =
                refused(&session, task_id, lease_token, max_events, 1)?
            {
                return Ok((outcome, seq, None, cancel_requested));
            }
        }
    };
    let (outcome, seq, at, cancel_requested) = answer(append());
    TableIterator::once((outcome.to_owned(), seq, at, cancel_requested))
}

/// Why `count` events were not appended: the outcome, the tape's highest seq if it is final, and whether a
/// cancel was requested. `None`: the world has moved, try again.
pub fn refused(
    session: &Session,
    task_id: i64,
    token: Option<i64>,
    max_events: i64,
    count: i64,
) -> Checked<Option<(&'static str, Option<i64>, bool)>> {
    let Some(standing) = task::find(session, task_id) else {
        return Ok(Some(("not_found", None, false)));
    };
    if standing.found.state.is_terminal() {
        let seq = Some(standing.last_seq);
        return Ok(Some((
            "dropped_after_final",
            seq,
            standing.cancel_requested,
        )));
    }
    if token.is_some_and(|token| needs_current(Some(&standing.found), token).is_some()) {
        return Ok(Some(("lease_lost", None, standing.cancel_requested)));
    }
    if standing.last_seq + count > max_events {
        return Err(Misuse::over_limit(format!("tape of task {task_id} is full"))
            .detail(format!(
                "It has {} events; at most {max_events} are allowed (pg_baton.max_events_per_task).",
                standing.last_seq
            )));
    }
    Ok(None)
}
