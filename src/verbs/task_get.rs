use super::access;
use super::args::{self, Checked, answer};
use crate::pg::datum::{Instant, Jsonb, Text};
use crate::pg::statement::Row;
use crate::store::task;
use pgrx::prelude::*;

/// A task, whole.
///
/// Arguments: `task_id`.
///
/// Returns 0 or 1 row. `owner`, `lease_token` and `lease_expires_at` are those of a running task's lease; `leased_at`,
/// `heartbeat_at` and `started_at` tell of the last one.
///
/// Errors: 22004.
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn task_get(
    task_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(task_id, i64),
        name!(queue, String),
        name!(name, Option<String>),
        name!(key, Option<String>),
        name!(state, String),
        name!(reason, Option<String>),
        name!(priority, i32),
        name!(run_at, Option<Instant>),
        name!(attempt, i32),
        name!(max_attempts, i32),
        name!(lost_leases, i32),
        name!(owner, Option<String>),
        name!(lease_token, Option<i64>),
        name!(leased_at, Option<Instant>),
        name!(heartbeat_at, Option<Instant>),
        name!(lease_expires_at, Option<Instant>),
        name!(started_at, Option<Instant>),
        name!(cancel_requested_at, Option<Instant>),
        name!(payload, Jsonb),
        name!(result, Option<Jsonb>),
        name!(error, Option<Jsonb>),
        name!(metadata, Jsonb),
        name!(run_id, Option<i64>),
        name!(item_index, Option<i32>),
        name!(slot_keys, Option<Vec<String>>),
        name!(redrive_of, Option<i64>),
        name!(last_seq, i64),
        name!(created_at, Instant),
        name!(finalized_at, Option<Instant>),
    ),
> {
    let session = access::reader();
    let get = || -> Checked<Option<Task>> {
        Ok(task::get(
            &session,
            args::required("task_id", task_id)?,
            read,
        ))
    };
    TableIterator::new(answer(get()))
}

/// A task by its key, whole.
///
/// Arguments: `queue`; `key`.
///
/// Returns 0 or 1 row, as task_get.
///
/// Errors: 22004, 22023.
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn task_get_by_key(
    queue: Option<Text>,
    key: Option<Text>,
) -> TableIterator<
    'static,
    (
        name!(task_id, i64),
        name!(queue, String),
        name!(name, Option<String>),
        name!(key, Option<String>),
        name!(state, String),
        name!(reason, Option<String>),
        name!(priority, i32),
        name!(run_at, Option<Instant>),
        name!(attempt, i32),
        name!(max_attempts, i32),
        name!(lost_leases, i32),
        name!(owner, Option<String>),
        name!(lease_token, Option<i64>),
        name!(leased_at, Option<Instant>),
        name!(heartbeat_at, Option<Instant>),
        name!(lease_expires_at, Option<Instant>),
        name!(started_at, Option<Instant>),
        name!(cancel_requested_at, Option<Instant>),
        name!(payload, Jsonb),
        name!(result, Option<Jsonb>),
        name!(error, Option<Jsonb>),
        name!(metadata, Jsonb),
        name!(run_id, Option<i64>),
        name!(item_index, Option<i32>),
        name!(slot_keys, Option<Vec<String>>),
        name!(redrive_of, Option<i64>),
        name!(last_seq, i64),
        name!(created_at, Instant),
        name!(finalized_at, Option<Instant>),
    ),
> {
    let session = access::reader();
    let get = || -> Checked<Option<Task>> {
        let queue = args::required_word("queue", queue)?;
        let key = args::required_word("key", key)?;
        Ok(task::get_by_key(&session, &queue, &key, read))
    };
    TableIterator::new(answer(get()))
}

type Task = (
    i64,
    String,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
    i32,
    Option<Instant>,
    i32,
    i32,
    i32,
    Option<String>,
    Option<i64>,
    Option<Instant>,
    Option<Instant>,
    Option<Instant>,
    Option<Instant>,
    Option<Instant>,
    Jsonb,
    Option<Jsonb>,
    Option<Jsonb>,
    Jsonb,
    Option<i64>,
    Option<i32>,
    Option<Vec<String>>,
    Option<i64>,
    i64,
    Instant,
    Option<Instant>,
);

fn read(row: &mut Row) -> Task {
    (
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
        row.get(),
    )
}
