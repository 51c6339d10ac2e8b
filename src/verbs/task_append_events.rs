use super::access;
use super::args::{self, Checked, answer};
use super::task_append_event::refused;
use crate::model::limits;
use crate::pg::datum::{Elements, Jsonb};
use crate::pg::error::Misuse;
use crate::pg::settings;
use crate::store::tape::{self, New};
use pgrx::prelude::*;
use std::collections::HashSet;

/// Appends events to a task's tape, all or none, in the order of the arrays.
///
/// Arguments: `task_id`; `kinds` and `bodies` (as many, at most 1000; a body may be NULL); `lease_token`; `dedup_keys` (NULL, or as
/// many; an element may be NULL), as in task_append_event.
///
/// Outcomes: `not_found`, `exists` (some dedup key is on the tape already: the seqs of those events; nothing is
/// written), `dropped_after_final` (with the tape's highest seq), `lease_lost`, `appended`.
///
/// Errors: 22004, 22023 (bad or reserved kind, arrays of unequal length or empty, a dedup key twice), 54000.
///
/// Locks: as task_append_event.
#[pg_extern(volatile, parallel_unsafe)]
fn task_append_events(
    task_id: Option<i64>,
    kinds: Option<Elements<String>>,
    bodies: Option<Elements<Jsonb>>,
    lease_token: default!(Option<i64>, "NULL"),
    dedup_keys: default!(Option<Elements<String>>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(outcome, String),
        name!(first_seq, Option<i64>),
        name!(last_seq, Option<i64>),
    ),
> {
    let session = access::verb(c"task_append_events()", access::by_token(lease_token));
    let append = || -> Checked<(&'static str, Option<i64>, Option<i64>)> {
        let task_id = args::required("task_id", task_id)?;
        let max = limits::MAX_TASKS as usize;
        let kinds = args::not_null("kinds", args::words("kinds", kinds, max)?)?;
        if kinds.is_empty() {
            return Err(Misuse::bad_value("argument \"kinds\" is empty")
                .detail("It must have 1 to 1000 elements."));
        }
        let kinds = kinds
            .into_iter()
            .map(args::kind)
            .collect::<Checked<Vec<_>>>()?;
        let length = ("kinds", kinds.len());
        let bodies = args::elements("bodies", bodies, max)?;
        args::same_length(length, ("bodies", bodies.len()))?;
        let bodies = bodies
            .into_iter()
            .enumerate()
            .map(|(i, body)| args::json(&format!("bodies[{}]", i + 1), body))
            .collect::<Checked<Vec<_>>>()?;
        let keys = dedup_keys
            .map(|keys| args::words("dedup_keys", Some(keys), max))
            .transpose()?;
        if let Some(keys) = &keys {
            args::same_length(length, ("dedup_keys", keys.len()))?;
        }
        let keys = args::parallel(keys, kinds.len());
        let given: Vec<String> = keys.iter().flatten().cloned().collect();
        if given.iter().collect::<HashSet<_>>().len() < given.len() {
            return Err(Misuse::bad_value("argument \"dedup_keys\" has a key twice")
                .detail("A key names one event of the tape."));
        }
        let max_events = settings::max_events_per_task();
        let new: Vec<New> = kinds
            .into_iter()
            .zip(bodies)
            .zip(keys)
            .map(|((kind, body), dedup_key)| New {
                kind,
                body,
                dedup_key,
            })
            .collect();
        loop {
            if !given.is_empty() {
                tape::lock(&session, task_id);
                let found = tape::by_dedup_key(&session, task_id, given.clone());
                if let (Some(first), Some(last)) = (found.first(), found.last()) {
                    return Ok(("exists", Some(first.0), Some(last.0)));
                }
            }
            let count = new.len() as i64;
            if let Some(last) = tape::append(&session, task_id, lease_token, &new, max_events) {
                return Ok(("appended", Some(last.seq - count + 1), Some(last.seq)));
            }
            if let Some((outcome, seq, _)) =
                refused(&session, task_id, lease_token, max_events, count)?
            {
                return Ok((outcome, None, seq));
            }
        }
    };
    let (outcome, first_seq, last_seq) = answer(append());
    TableIterator::once((outcome.to_owned(), first_seq, last_seq))
}
