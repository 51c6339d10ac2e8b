use super::access;
use super::args::{self, Checked, answer};
use crate::model::outcome::Refusal;
use crate::pg::datum::{Instant, Jsonb};
use crate::pg::error::Misuse;
use crate::pg::settings;
use crate::store::task::{self, Annotation};
use pgrx::prelude::*;

/// Merges metadata into a task's, key by key at the top level, in whatever state it is; each change is kept with its time and
/// role.
///
/// Arguments: `task_id`; `metadata` (a JSON object); `lease_token` (the worker's, which must be current: needs `work`; NULL: whoever
/// controls the task: needs `control`).
///
/// Outcomes: `not_found`, `lease_lost`, `annotated`. What changes nothing, such as a replay, is `annotated` and not kept.
///
/// Errors: 22004, 22023 (not an object), 54000 (the metadata would be too large, or was changed
/// pg_baton.max_events_per_task times).
///
/// Locks: with a token the live task FOR KEY SHARE; then the task's own row, which nothing else locks, FOR NO KEY UPDATE.
#[pg_extern(volatile, parallel_unsafe)]
fn task_annotate(
    task_id: Option<i64>,
    metadata: Option<Jsonb>,
    lease_token: default!(Option<i64>, "NULL"),
) -> TableIterator<'static, (name!(outcome, String),)> {
    let session = access::verb(c"task_annotate()", access::by_token(lease_token));
    let annotate = || -> Checked<&'static str> {
        let task_id = args::required("task_id", task_id)?;
        let metadata = args::metadata(metadata)?;
        let fenced = match lease_token {
            Some(token) => task::annotate_fence(&session, task_id, token),
            None => true,
        };
        let Some((merged, is_change)) = task::annotate_lock(&session, task_id, metadata) else {
            return Ok(Refusal::NotFound.word());
        };
        if !fenced {
            return Ok(Refusal::LeaseLost.word());
        }
        if is_change {
            let merged = args::required_json("metadata", Some(merged))?;
            let role = session.caller().name();
            let max = settings::max_events_per_task();
            if !task::annotate(&session, task_id, merged, metadata, &role, max) {
                return Err(Misuse::over_limit(format!(
                    "task {task_id} was annotated {max} times"
                ))
                .detail("No more are allowed (pg_baton.max_events_per_task)."));
            }
        }
        Ok("annotated")
    };
    TableIterator::once((answer(annotate()).to_owned(),))
}

/// The changes of a task's metadata, in order: when, by which role, and what was merged.
///
/// Arguments: `task_id`.
///
/// Errors: 22004.
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn task_annotations(
    task_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(at, Instant),
        name!(role, String),
        name!(metadata, Jsonb),
    ),
> {
    let session = access::reader();
    let annotations = || -> Checked<Vec<Annotation>> {
        let task_id = args::required("task_id", task_id)?;
        Ok(task::annotations(&session, task_id))
    };
    TableIterator::new(answer(annotations()))
}
