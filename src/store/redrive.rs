//! Redrives: a new task in the place of one that ended badly.

use crate::pg::session::Session;
use crate::statements;

statements! {
    OF_QUEUE = "redrive_of_queue.sql",
    LOCK_MANY = "redrive_lock_many.sql",
    INSERT = "redrive_insert.sql",
    FIND = "redrive_find.sql",
    RUN_IS_OVER = "run_is_over.sql",
}

/// The next tasks of a queue that may be redriven, in the order of their ids.
pub fn of_queue(
    session: &Session,
    queue_id: i32,
    states: Vec<i16>,
    after: i64,
    max: i32,
) -> Vec<i64> {
    let args = [
        queue_id.into(),
        states.into(),
        after.into(),
        i64::from(max).into(),
    ];
    OF_QUEUE.with(|s| s.write(session, &args).all(|row| row.get()))
}

/// Those of the tasks that nobody purges now, kept from it, in the order of their ids.
pub fn lock_many(session: &Session, task_ids: Vec<i64>) -> Vec<i64> {
    let mut locked: Vec<i64> =
        LOCK_MANY.with(|s| s.write(session, &[task_ids.into()]).all(|row| row.get()));
    locked.sort_unstable();
    locked
}

/// (old task, new task) of those that nobody has redriven yet.
pub fn insert(session: &Session, task_ids: Vec<i64>) -> Vec<(i64, i64)> {
    INSERT.with(|s| {
        s.write(session, &[task_ids.into()])
            .all(|row| (row.get(), row.get()))
    })
}

/// What a task was redriven as.
pub fn find(session: &Session, task_id: i64) -> Option<i64> {
    FIND.with(|s| s.write(session, &[task_id.into()]).first(|row| row.get()))
}

/// Whether the run of a task has ended with all its tasks.
pub fn run_is_over(session: &Session, task_id: i64) -> bool {
    RUN_IS_OVER
        .with(|s| s.write(session, &[task_id.into()]).first(|row| row.get()))
        .unwrap_or(false)
}
