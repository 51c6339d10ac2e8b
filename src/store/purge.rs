//! The removal of what has ended long ago.

use crate::pg::datum::{Instant, Places};
use crate::pg::session::Session;
use crate::statements;
use crate::store::floors::{self, Line};
use pgrx::datum::Interval;

statements! {
    LOCK = "purge_lock.sql",
    TASKS = "purge_tasks.sql",
    REST = "purge_rest.sql",
    UNSEEN = "purge_unseen.sql",
    RUNS_LOCK = "purge_runs_lock.sql",
    RUN_TASKS = "purge_run_tasks.sql",
    RUN_LOCK = "purge_run_lock.sql",
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

/// Tasks that are to go, locked.
pub struct Batch {
    pub task_ids: Vec<i64>,
    places: Places,
    pub events: i64,
    pub more: bool,
}

/// Up to `max` tasks that stand alone.
pub fn lock(session: &Session, old: &Old, max: i32) -> Batch {
    // While anybody holds a snapshot, what was purged stays in the index: a batch starts behind it.
    let scan = floors::scan(Line::Ended);
    let args = [
        old.older_than.into(),
        i64::from(max).into(),
        old.queues.clone().into(),
        old.states.clone().into(),
        scan.start_time().into(),
    ];
    LOCK.with(|s| {
        s.write(session, &args).first(|row| {
            let batch = Batch {
                task_ids: row.get(),
                places: row.get(),
                events: row.get(),
                more: row.get(),
            };
            let (first, now): (Option<Instant>, Instant) = (row.get(), row.get());
            scan.end(first.map(|at| at.0), now.0);
            batch
        })
    })
    .expect("an aggregate returns one row")
}

/// Removes tasks that stand alone and are locked.
pub fn tasks(session: &Session, batch: &Batch) {
    let args = [batch.task_ids.clone().into(), batch.places.into()];
    TASKS.with(|s| drop(s.write(session, &args)));
}

/// Removes what else belonged to tasks that are gone.
pub fn rest(session: &Session, task_ids: Vec<i64>) {
    REST.with(|s| drop(s.write(session, &[task_ids.into()])));
}

/// Whether anything is left of tasks that are gone, by what is committed now.
pub fn unseen(session: &Session, task_ids: Vec<i64>) -> bool {
    UNSEEN
        .with(|s| {
            s.read_latest(session, &[task_ids.into()])
                .first(|row| row.get())
        })
        .unwrap_or(false)
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

/// Whether all these tasks are locked now: none is held by others, nor hidden by a fixed snapshot.
pub fn lock_run_tasks(session: &Session, task_ids: Vec<i64>) -> bool {
    let all = task_ids.len();
    RUN_LOCK.with(|s| s.write(session, &[task_ids.into()]).len() == all)
}

/// How many events went with the run.
pub fn run(session: &Session, run_id: i64, task_ids: Vec<i64>) -> i64 {
    RUN.with(|s| {
        s.write(session, &[run_id.into(), task_ids.into()])
            .first(|row| row.get())
    })
    .expect("an aggregate returns one row")
}
