//! The tasks that tell of the ends of others.

use crate::pg::session::Session;
use crate::statements;

statements! {
    TARGETS = "on_final_targets.sql",
    INSERT = "on_final_insert.sql",
    FORGET = "on_final_forget.sql",
}

/// Where the ends of these tasks are to be told: (task, queue).
pub fn targets(session: &Session, task_ids: Vec<i64>) -> Vec<(i64, i32)> {
    TARGETS.with(|s| {
        s.write(session, &[task_ids.into()])
            .all(|row| (row.get(), row.get()))
    })
}

/// Creates the tasks that tell of these ends; those of queues that were dropped are missing.
pub fn insert(session: &Session, targets: &[(i64, i32)]) -> Vec<i64> {
    let (task_ids, queue_ids): (Vec<i64>, Vec<i32>) = targets.iter().copied().unzip();
    INSERT.with(|s| {
        s.write(session, &[task_ids.into(), queue_ids.into()])
            .all(|row| row.get())
    })
}

/// Takes the ids back that were drawn in vain.
pub fn forget(session: &Session, task_ids: Vec<i64>) {
    FORGET.with(|s| drop(s.write(session, &[task_ids.into()])));
}
