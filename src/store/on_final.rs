//! The tasks that tell of the ends of others.

use crate::pg::session::Session;
use crate::statements;

statements! {
    TARGETS = "on_final_targets.sql",
    INSERT = "on_final_insert.sql",
    FORGET = "on_final_forget.sql",
}

/// Where the end of a task is to be told.
#[derive(PartialEq, Eq)]
pub struct Target {
    pub task_id: i64,
    pub queue_id: i32,
    pub max_attempts: i32,
}

/// Where the ends of these tasks are to be told, by what is committed now.
pub fn targets(session: &Session, task_ids: Vec<i64>) -> Vec<Target> {
    TARGETS.with(|s| {
        s.read_latest(session, &[task_ids.into()])
            .all(|row| Target {
                task_id: row.get(),
                queue_id: row.get(),
                max_attempts: row.get(),
            })
    })
}

/// Creates the tasks that tell of these ends.
pub fn insert(session: &Session, targets: &[Target]) -> Vec<i64> {
    let targets = targets.iter();
    let task_ids: Vec<i64> = targets.clone().map(|target| target.task_id).collect();
    let queue_ids: Vec<i32> = targets.clone().map(|target| target.queue_id).collect();
    let max_attempts: Vec<i32> = targets.map(|target| target.max_attempts).collect();
    INSERT.with(|s| {
        s.write(
            session,
            &[task_ids.into(), queue_ids.into(), max_attempts.into()],
        )
        .all(|row| row.get())
    })
}

/// Takes the ids back that were drawn in vain.
pub fn forget(session: &Session, task_ids: Vec<i64>) {
    FORGET.with(|s| drop(s.write(session, &[task_ids.into()])));
}
