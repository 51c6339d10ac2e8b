use super::access;
use super::args::{self, Checked, answer};
use crate::model::access::Capability::Control;
use crate::model::run::RunState;
use crate::pg::datum::{Instant, Jsonb, Text};
use crate::pg::error::Misuse;
use crate::pg::settings;
use crate::store::run;
use pgrx::prelude::*;

/// Appends an event to a run's own tape. After `final` nothing is appended.
///
/// Arguments: `run_id`; `kind` (1 to 255 bytes, not one that the functions themselves write); `body` (JSON); `dedup_key` (the same
/// key is appended once per tape).
///
/// Outcomes: `not_found`, `exists` (the dedup key: that event's seq), `dropped_after_final` (with the tape's highest seq; the event
/// is not stored and has no time), `appended`. `cancel_requested`: the run is being cancelled.
///
/// Errors: 22004, 22023 (bad or reserved kind), 54000 (body too large, or pg_baton.max_events_per_task reached).
///
/// Locks: the run FOR NO KEY UPDATE, which makes seq dense and its order the commit order.
#[pg_extern(volatile, parallel_unsafe)]
fn workflow_append_event(
    run_id: Option<i64>,
    kind: Option<Text>,
    body: default!(Option<Jsonb>, "NULL"),
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
    let session = access::verb(c"workflow_append_event()", &[Control]);
    let append = || -> Checked<(&'static str, Option<i64>, Option<Instant>, bool)> {
        let run_id = args::required("run_id", run_id)?;
        let kind = args::run_kind(args::required_word("kind", kind)?)?;
        let body = args::json("body", body)?;
        let dedup_key = args::optional_word("dedup_key", dedup_key)?;
        let Some((state, last_seq)) = run::lock_tape(&session, run_id) else {
            return Ok(("not_found", None, None, false));
        };
        let cancelling = matches!(state, RunState::Cancelling | RunState::Cancelled);
        if let Some(key) = &dedup_key
            && let Some((seq, at)) = run::event_by_dedup_key(&session, run_id, key)
        {
            return Ok(("exists", Some(seq), Some(at), cancelling));
        }
        if state.is_terminal() {
            return Ok(("dropped_after_final", Some(last_seq), None, cancelling));
        }
        let max_events = settings::max_events_per_task();
        match run::append_event(&session, run_id, &kind, body, dedup_key, max_events) {
            Some((seq, at, cancel_requested)) => {
                Ok(("appended", Some(seq), Some(at), cancel_requested))
            }
            None => Err(
                Misuse::over_limit(format!("tape of run {run_id} is full")).detail(format!(
                    "It has {last_seq} events; at most {max_events} are allowed (pg_baton.max_events_per_task)."
                )),
            ),
        }
    };
    let (outcome, seq, at, cancel_requested) = answer(append());
    TableIterator::once((outcome.to_owned(), seq, at, cancel_requested))
}
