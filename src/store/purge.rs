//! The removal of what has ended long ago.

use crate::pg::datum::Instant;
use crate::pg::session::Session;
use crate::statements;
use crate::store::floors::{self, Line};
use pgrx::datum::Interval;

statements! {
    TASKS = "purge_tasks.sql",
    RUNS_LOCK = "purge_runs_lock.sql",
    RUN_TASKS = "purge_run_tasks.sql",
    RUN = "purge_run.sql",
}

/// What is to go.
pub struct Old {
    pub older_than: Interval,
    /// `None`: of all queues.
    pub queues: Option<Vec<i32>>,
    /// `None`: in all states.
    pub states: Option<Vec<i16>>,
}

/// Tasks that stand alone: (how many went, with how many events, whether there are more).
pub fn tasks(session: &Session, old: &Old, max: i32) -> (i64, i64, bool) {
    // While anybody holds a snapshot, what was purged stays in the index: a batch starts behind it.
    let scan = floors::scan(Line::Ended);
    let args = [
        old.older_than.into(),
        i64::from(max).into(),
        old.queues.clone().into(),
        old.states.clone().into(),
        scan.start_time().into(),
    ];
    TASKS
        .with(|s| {
            s.write(session, &args).first(|row| {
                let purged = (row.get(), row.get(), row.get());
                let (first, now): (Option<Instant>, Instant) = (row.get(), row.get());
                scan.end(first.map(|at| at.0), now.0);
                purged
            })
        })
        .expect("an aggregate returns one row")
}

/// Runs that look as if they might go, from an id on, locked.
pub fn lock_runs(session: &Session, old: &Old, after: i64, max: i32) -> Vec<i64> {
    let args = [
        old.older_than.into(),
        i64::from(max).into(),
        old.queues.clone().into(),
        old.states.clone().into(),
        after.into(),
    ];
    RUNS_LOCK.with(|s| s.write(session, &args).all(|row| row.get()))
}

/// The tasks of a locked run, by what is committed now; `None`: some of them may not go yet.
pub fn tasks_of_run(session: &Session, old: &Old, run_id: i64) -> Option<Vec<i64>> {
    let args = [
        run_id.into(),
        old.older_than.into(),
        old.queues.clone().into(),
        old.states.clone().into(),
    ];
    let tasks = RUN_TASKS.with(|s| {
        s.read_latest(session, &args)
            .all(|row| (row.get::<i64>(), row.get::<bool>()))
    });
    tasks
        .into_iter()
        .map(|(task_id, may_go)| may_go.then_some(task_id))
        .collect()
}

/// How many events went with the run.
pub fn run(session: &Session, run_id: i64, task_ids: Vec<i64>) -> i64 {
    RUN.with(|s| {
        s.write(session, &[run_id.into(), task_ids.into()])
            .first(|row| row.get())
    })
    .expect("an aggregate returns one row")
}
