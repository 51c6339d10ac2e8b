use super::args::{self, Checked, answer};
use super::{access, queues};
use crate::model::limits;
use crate::model::state::State;
use crate::pg::datum::{Elements, Instant, Jsonb, Text};
use crate::pg::statement::Row;
use crate::store::task::{self, Filter};
use pgrx::prelude::*;

/// Tasks, newest first, a page at a time; without their payloads, results and errors.
///
/// Arguments: `queue`, `states`, `name`, `owner` (of a running task's lease) and `run_id` (NULL: any); `before_task_id` (the last
/// task of the page before; NULL: from the newest); `max_tasks` (1 to 1000).
///
/// A page by queue and states costs the same however much is finished. A `name` is looked for among them one by
/// one; a run's tasks are all read for each page.
///
/// Errors: 22004, 22023 (a state), 42704 (no such queue), 54000 (max_tasks).
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn task_list(
    queue: default!(Option<Text>, "NULL"),
    states: default!(Option<Elements<String>>, "NULL"),
    name: default!(Option<Text>, "NULL"),
    owner: default!(Option<Text>, "NULL"),
    run_id: default!(Option<i64>, "NULL"),
    before_task_id: default!(Option<i64>, "NULL"),
    max_tasks: default!(Option<i32>, "100"),
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
    let list = || -> Checked<Vec<Task>> {
        let filter = Filter {
            queue: args::optional_word("queue", queue)?,
            states: match states {
                None => State::ALL.to_vec(),
                Some(states) => args::states("states", states)?,
            },
            name: args::optional_word("name", name)?,
            owner: args::optional_word("owner", owner)?,
            run_id,
            before_task_id: before_task_id.unwrap_or(i64::MAX),
            max_tasks: args::max_rows("max_tasks", max_tasks, limits::MAX_TASKS)?,
        };
        if let Some(name) = &filter.queue {
            queues::seen(&session, name)?;
        }
        let mut tasks = task::list(&session, &filter, read);
        tasks.sort_by_key(|task| std::cmp::Reverse(task.0));
        Ok(tasks)
    };
    TableIterator::new(answer(list()))
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
    )
}
