use super::access;
use super::args::{self, Checked, answer};
use crate::model::limits;
use crate::pg::datum::{Instant, Jsonb};
use crate::pg::settings;
use crate::store::workflow::{self, Event, Shown, ShownStep};
use pgrx::prelude::*;

/// Shows a run.
///
/// Arguments: `run_id`.
///
/// Returns 0 or 1 row. `counts`: its tasks per state, of the states that there are (items of a wide step that are no tasks yet
/// count as blocked). `result`: what workflow_finalize was given; in a run with a definition, once it has ended, the results of
/// the completed steps that nothing needs, by name (NULL if they have more than pg_baton.max_join_bytes together).
///
/// Errors: 22004.
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn workflow_get(
    run_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(run_id, i64),
        name!(name, Option<String>),
        name!(version, Option<i32>),
        name!(key, Option<String>),
        name!(state, String),
        name!(checkpoint, Option<String>),
        name!(checkpoint_detail, Option<Jsonb>),
        name!(input, Jsonb),
        name!(result, Option<Jsonb>),
        name!(metadata, Jsonb),
        name!(counts, Jsonb),
        name!(created_at, Instant),
        name!(finalized_at, Option<Instant>),
    ),
> {
    let session = access::reader();
    let get = || -> Checked<Option<Shown>> {
        Ok(workflow::get(
            &session,
            args::required("run_id", run_id)?,
            settings::max_join_bytes(),
        ))
    };
    TableIterator::new(answer(get()))
}

/// Shows the steps of a run, each after those it needs.
///
/// Arguments: `run_id`.
///
/// Returns a row a step in the caller's queues. `state`: waiting, running, completed, failed, cancelled or skipped; `total`: its
/// items (1 if it has none; 0 before it starts); of these `running`, `completed`, `failed`; `result`: of its task, or of its items, in their order,
/// once it has ended.
///
/// Errors: 22004.
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn workflow_steps(
    run_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(step, String),
        name!(state, String),
        name!(needs, Vec<String>),
        name!(total, i32),
        name!(running, i32),
        name!(completed, i32),
        name!(failed, i32),
        name!(result, Option<Jsonb>),
        name!(started_at, Option<Instant>),
        name!(finalized_at, Option<Instant>),
    ),
> {
    let session = access::reader();
    let steps = || -> Checked<Vec<ShownStep>> {
        Ok(workflow::steps(&session, args::required("run_id", run_id)?))
    };
    TableIterator::new(answer(steps()))
}

/// Shows a run's own tape: its events in the order of `seq`, which is the order of their commits.
///
/// Arguments: `run_id`; `after_seq` (the last one known); `max_events` (1 to 100000).
///
/// Errors: 22004, 22023, 54000.
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn workflow_events(
    run_id: Option<i64>,
    after_seq: default!(Option<i64>, "0"),
    max_events: default!(Option<i32>, "1000"),
) -> TableIterator<
    'static,
    (
        name!(seq, i64),
        name!(kind, String),
        name!(body, Option<Jsonb>),
        name!(at, Instant),
    ),
> {
    let session = access::reader();
    let events = || -> Checked<Vec<Event>> {
        let run_id = args::required("run_id", run_id)?;
        let after_seq = args::required("after_seq", after_seq)?;
        let max = args::max_rows("max_events", max_events, limits::ITEMS as i32)?;
        Ok(workflow::events(&session, run_id, after_seq, max))
    };
    TableIterator::new(answer(events()))
}
